"""Judges flags of one of our C++ programs by its source, before anybody waits for a compiler.

    program_flags.py SOURCE NAME WORD...

Says what is wrong and ends with 2, or explains the flags if --help is among the words. Whether a
value is within its range only the program knows.
"""

import ast
import re
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, NoReturn

DEFINITION = re.compile(
    r'^DEFINE_(\w+)\(\s*(\w+),\s*([^,]+?),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\);', re.MULTILINE)
WHOLE = r"(\d+|0x[0-9a-fA-F]+)"
FORMS = {"int32": ("-?" + WHOLE, "a whole number"), "uint64": (WHOLE, "a whole number"),
         "double": (r"-?(\d+\.?\d*|\.\d+)(e-?\d+)?", "a number")}
SWITCH = ("", "1", "t", "true", "y", "yes", "0", "f", "false", "n", "no")


class Flag(NamedTuple):
    """One DEFINE_ line."""

    kind: str
    otherwise: str
    text: str


def flags_of(source: str) -> Dict[str, Flag]:
    """All flags of a program, by name."""
    found = {}
    for kind, name, otherwise, texts in DEFINITION.findall(source):
        text = "".join(ast.literal_eval(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', texts))
        found[name] = Flag(kind, otherwise.replace("'", "").strip('"'), text)
    return found


def explain(name: str, flags: Dict[str, Flag]) -> None:
    """What --help shows."""
    print(f"{name} takes these flags:\n")
    for flag, (_, otherwise, text) in flags.items():
        print(f"  --{flag:18} {text}{f'; default {otherwise}' if otherwise else ''}")


def fault_of(words: List[str], flags: Dict[str, Flag]) -> str:
    """What is wrong with the first word that is, or nothing."""
    left = list(words)
    while left:
        word = left.pop(0)
        given, equals, value = re.sub("^--?", "", word).partition("=")
        known = given.replace("-", "_")
        if not word.startswith("-"):
            return f"there is no argument '{word}'"
        if known.startswith("no") and known not in flags and not equals and \
                flags.get(known[2:], Flag("", "", "")).kind == "bool":
            continue
        if known not in flags:
            return f"there is no flag '{word}'"
        kind = flags[known].kind
        if kind == "bool":
            if value not in SWITCH:
                return f"--{known}={value}: it is a switch"
            continue
        if not equals:
            if not left:
                return f"--{known} needs a value"
            value = left.pop(0)
        form, wanted = FORMS.get(kind, (".*", ""))
        if not re.fullmatch(form, value):
            return f"--{known}={value}: it is {wanted}"
    return ""


def main() -> NoReturn:
    """Ends with 0 if the words are good."""
    source, name, *words = sys.argv[1:]
    flags = flags_of(Path(source).read_text())
    if "--help" in words or "-h" in words:
        explain(name, flags)
        sys.exit(0)
    fault = fault_of(words, flags)
    if fault:
        print(f"{name}: {fault}; see {name} --help", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
