"""What the checks share: the files of the tree, and C++ text without comments and strings."""

import re
import subprocess
from pathlib import Path
from typing import Iterable, List, NamedTuple

CPP_SUFFIXES = (".cc", ".h")
SKIPPED_FOLDERS = {".git", "build", ".venv", ".holdfast", "__pycache__"}


class Problem(NamedTuple):
    """One finding: where (relative to the root, line 0 for the whole file) and what to do."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


def files(root: Path, suffixes: Iterable[str] = ()) -> List[Path]:
    """The files that belong to the project, relative to `root`: what git knows or would add."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout.split("\0")
        found = [Path(name) for name in listed if name and (root / name).is_file()]
    else:
        found = [p.relative_to(root) for p in root.rglob("*")
                 if p.is_file() and not SKIPPED_FOLDERS & set(p.relative_to(root).parts)]
    wanted = tuple(suffixes)
    return sorted(p for p in found if not wanted or p.name.endswith(wanted))


def cpp_files(root: Path) -> List[Path]:
    return files(root, CPP_SUFFIXES)


def read(root: Path, path: Path) -> str:
    return (root / path).read_text(encoding="utf-8", errors="replace")


_NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*\""""
    r"""|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL)


def bare_code(text: str) -> str:
    """C++ with comments, string and character literals blanked out; lines and columns stay."""
    def blank(match: "re.Match[str]") -> str:
        return re.sub(r"[^\n]", " ", match.group(0))
    return _NOISE.sub(blank, text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
