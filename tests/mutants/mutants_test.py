"""Every mutant can be read, applies to the tree as it is, and names tests that there are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutants import HERE, BadMutant, all_mutants, git_apply, read  # noqa: E402
from run import STARTED, program_of  # noqa: E402

ROOT = HERE.parents[1]
MUTANTS = all_mutants()


def test_there_are_mutants_of_every_layer():
    assert len(MUTANTS) >= 30
    layers = {m.name.split("-")[0] for m in MUTANTS}
    assert {"raft", "log", "lease", "once", "lock"} <= layers


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_it_applies_to_the_tree(mutant):
    git_apply(ROOT, mutant.path, "--check")


def test_no_mutant_touches_a_test():
    for mutant in MUTANTS:
        touched = re.findall(r"^\+\+\+ b/(\S+)", mutant.path.read_text(), re.MULTILINE)
        assert touched and not [path for path in touched if path.startswith("tests/")], mutant.name


def test_no_two_mutants_are_the_same():
    diffs = [m.path.read_text().split("diff --git", 1)[1] for m in MUTANTS]
    assert len(set(diffs)) == len(diffs)


def test_what_the_tests_start_is_built():
    """Else one fails in a fresh copy, with a mutant and without."""
    started = set()
    for test in {test for mutant in MUTANTS for test in mutant.tests if not program_of(test)}:
        text = (ROOT / "tests" / f"{test}_test.py").read_text()
        started |= set(re.findall(r"\bprogram\([\"']([\w-]+)[\"']\)", text))
    assert started and started <= set(STARTED)


@pytest.mark.parametrize("text, complaint", [
    ("Breaks: a\nSource: b\n\ndiff --git a b\n", "nothing under 'Caught by'"),
    ("Breaks: a\nSource: b\nCaught by: c\n", "there is no diff"),
    ("Breaks: a\nSource: b\nCaught by: c, d\n\ndiff --git a b\n", "'c,' is no name of a test"),
    ("Breaks: a\nRubbish\n", ":2: 'Rubbish' is no field"),
])
def test_a_patch_of_another_form_is_refused(tmp_path, text, complaint):
    path = tmp_path / "x.patch"
    path.write_text(text)
    with pytest.raises(BadMutant, match=complaint):
        read(path)


@pytest.mark.parametrize("arguments, complaint", [
    (["no-such-mutant"], "no mutant named 'no-such-mutant'"),
    (["--shard", "3/2"], "--shard=3/2"),
    (["--shard", "x"], "--shard=x"),
])
def test_a_bad_argument_is_one_line(arguments, complaint):
    done = subprocess.run([sys.executable, "-B", str(HERE / "run.py"), *arguments],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr and done.stderr.count("\n") == 1
