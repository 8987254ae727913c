"""Words that may not be in the tree: unfinished work, places of one machine, dead tests."""

import re
from pathlib import Path
from typing import List

from tree import Problem, files, read

TEXT = (".cc", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".thrift", ".json", ".toml", ".yml",
        "dev", "run")

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
HOME = re.compile(r"(?<![\w.])/(?:root|home/\w+)/")
CONFLICT = re.compile(r"^(?:<{7}|>{7}|={7})(?: |$)")
SWITCHED_OFF = re.compile(r"\bDIS" r"ABLED_\w+|\bGTEST_SK" r"IP\b|EXPECT_TRUE\(true\)"
                          r"|pytest\.mark\.(?:sk" r"ip|xf" r"ail)\b")


def check(root: Path) -> List[Problem]:
    here = str(root.resolve()) + "/"
    problems = []
    for path in files(root, TEXT):
        for number, line in enumerate(read(root, path).splitlines(), 1):
            if CONFLICT.search(line):
                problems.append(Problem(str(path), number, "a conflict that was not resolved"))
            if UNFINISHED.search(line):
                problems.append(Problem(str(path), number, "a mark of unfinished work"))
            if here in line or HOME.search(line):
                problems.append(Problem(str(path), number, "a path of one machine"))
            if SWITCHED_OFF.search(line):
                problems.append(Problem(str(path), number, "a test that cannot fail"))
    return problems
