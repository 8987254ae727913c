"""No file over 600 lines, no function over 70, no line of a script over 100 columns."""

import ast
import re
import statistics
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from tree import Problem, bare_code, files, line_of, read

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

SCRIPTS = (".py", ".sh", ".cmake", ".thrift", ".yml", ".yaml")
MEASURED = (".cc", ".h", "CMakeLists.txt") + SCRIPTS


class Function(NamedTuple):
    name: str
    line: int
    lines: int


_NAMESPACE = re.compile(r"(?:^|\s)(?:namespace\b|extern\s*$)")
_TYPE = re.compile(r"(?:^|\s)(?:class|struct|union|enum)\b[^()=]*$")
# A member's braces in a constructor's initialiser list stand close; the body's brace stands apart.
_INITIALISER = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:).*[\w>]$", re.DOTALL)
_NAME = re.compile(r"([\w:~]+|operator\s*[^\s(]+|operator\s*\(\s*\))\s*\(")


def _kind(head: str, parent: str) -> str:
    """What a brace opens, from the text before it and the scope that it stands in."""
    if parent not in ("outer", "type"):
        return "inner"
    if _INITIALISER.search(head):
        return "initialiser"
    if _NAMESPACE.search(head):
        return "outer"
    bare = re.sub(r"\([^()]*\)|<[^<>()]*>", " ", re.sub(r"\[\[.*?\]\]|alignas\([^)]*\)", " ", head))
    if _TYPE.search(bare) and "(" not in bare:
        return "type"
    if re.search(r"=\s*$", head) and "operator" not in head:
        return "inner"
    return "function" if "(" in head or head.startswith(",") or not head else "inner"


def cpp_functions(text: str) -> Iterator[Function]:
    """The functions of a C++ file, found by their braces; lambdas count with what holds them."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  bare_code(text), flags=re.MULTILINE)
    scopes: List[Tuple[str, str, int]] = []
    head_start = 0
    for match in re.finditer(r"[{};]|\b(?:public|private|protected):", code):
        mark = match.group(0)
        if mark == "{":
            head = code[head_start:match.start()]
            parent = scopes[-1][0] if scopes else "outer"
            start = head_start + len(head) - len(head.lstrip())
            kind = _kind(head.lstrip(), parent)
            scopes.append((kind, head.strip(), line_of(code, start)))
            if kind == "initialiser":
                continue
        elif mark == "}" and scopes:
            kind, head, start_line = scopes.pop()
            name = _NAME.search(head)
            if kind == "function" and name:
                lines = line_of(code, match.start()) - start_line + 1
                yield Function(name.group(1), start_line, lines)
            if kind == "initialiser":
                continue
        head_start = match.end()


def python_functions(text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Function(node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1)


def shell_functions(text: str) -> Iterator[Function]:
    for match in re.finditer(r"^(\w+)\(\) \{\n(?:.*\n)*?\}", text, re.MULTILINE):
        yield Function(match.group(1), line_of(text, match.start()), match.group(0).count("\n") + 1)


def is_shell(root: Path, path: Path) -> bool:
    if path.suffix in (".sh", ".bash"):
        return True
    with (root / path).open("rb") as opened:
        return path.suffix == "" and re.match(rb"#!.*\b(?:ba)?sh\b", opened.readline()) is not None


def functions(root: Path, path: Path, text: str) -> List[Function]:
    if path.suffix in (".cc", ".h"):
        return list(cpp_functions(text))
    if path.suffix == ".py":
        return list(python_functions(text))
    return list(shell_functions(text)) if is_shell(root, path) else []


def check_file(root: Path, path: Path) -> List[Problem]:
    text = read(root, path)
    lines = text.splitlines()
    problems = []
    if len(lines) > FILE_LINES_MAX:
        problems.append(Problem(str(path), 0, f"{len(lines)} lines; at most {FILE_LINES_MAX}"))
    problems += [
        Problem(str(path), f.line, f"{f.name} has {f.lines} lines; at most {FUNCTION_LINES_MAX}")
        for f in functions(root, path, text) if f.lines > FUNCTION_LINES_MAX]
    if path.name.endswith(SCRIPTS) or is_shell(root, path):
        problems += [Problem(str(path), number, f"{len(line)} columns; at most {COLUMNS_MAX}")
                     for number, line in enumerate(lines, 1) if len(line) > COLUMNS_MAX]
    return problems


def measured(root: Path) -> List[Path]:
    return [p for p in files(root) if p.name.endswith(MEASURED) or is_shell(root, p)]


def median_lines(root: Path) -> float:
    """Half of the C++ functions are at most this long."""
    lengths = [f.lines for p in files(root, (".cc", ".h")) for f in cpp_functions(read(root, p))]
    return statistics.median(lengths) if lengths else 0


def check(root: Path) -> List[Problem]:
    return [problem for path in measured(root) for problem in check_file(root, path)]
