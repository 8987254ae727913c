"""The runner itself: what is no scenario is refused by line, and golden output hides nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from outcome import BadOutcome, fault, parse_outcome  # noqa: E402
from script import BadScenario, parse  # noqa: E402

RAFTLAB = os.environ["RAFTLAB"]

GOOD = """\
# Two nodes.
nodes 1,2
  node 1: follower
  node 2: follower

# One stands.
campaign 1
  node 1: candidate, term 1, vote 1
? 1 role = candidate
? 2 term = 0
"""


@pytest.fixture
def scenario(tmp_path):
    """Writes a scenario and runs the runner on it; gives its exit code and what it said."""
    def run(text, *options, raftlab=RAFTLAB):
        path = tmp_path / "story.txt"
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-B", str(HERE / "run.py"), f"--raftlab={raftlab}", *options,
             str(path)], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr, path.read_text()
    return run


def test_a_good_scenario_passes(scenario):
    assert scenario(GOOD)[:2] == (0, "1 scenarios, 0 failed\n")


@pytest.mark.parametrize("old, new, line, why", [
    ("# Two nodes.\n", "", 1, "begins with a comment"),
    ("? 1 role = candidate\n? 2 term = 0\n", "", 7, "asserts nothing"),
    ("? 2 term = 0\n", "? 2 term = 0\ntick 1 1\n", 11, "nothing is asserted of the last step"),
    ("? 2 term = 0", "? 2 term", 10, "an outcome is"),
    ("? 2 term = 0", "? two term = 0", 10, "an outcome is"),
    ("? 2 term = 0", "? 2 term ~ 0", 10, "no comparison"),
    ("? 2 term = 0", "? 2 term = a b", 10, "neither JSON nor one word"),
    ("? 2 term = 0", "?", 10, "an outcome is"),
    ("? 2 term = 0", "? refused", 10, "an outcome is"),
    ("? 2 term = 0", "? 2 term = 0\n  late", 11, "above asserted outcomes"),
    ("campaign 1", "@elected 1", 7, "no shorthand is called @elected"),
    ("nodes 1,2\n  node 1", "? 1 term = 0\n  node 1", 2, "no step above"),
    ("nodes 1,2\n  node 1", "  node 1", 2, "no step above"),
    ("  node 2", " node 2", 4, "indented by two blanks"),
])
def test_what_is_no_scenario_is_refused_by_file_and_line(tmp_path, old, new, line, why):
    assert old in GOOD
    path = tmp_path / "story.txt"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(BadScenario) as bad:
        parse(path)
    assert str(bad.value).startswith(f"{path}:{line}: ") and why in str(bad.value)


def test_a_bad_file_fails_the_run(scenario):
    code, said, _ = scenario(GOOD.replace("? ", "# "))
    assert code == 1 and "asserts nothing" in said


def test_an_outcome_that_does_not_hold_fails_by_line(scenario):
    code, said, _ = scenario(GOOD.replace("? 2 term = 0", "? 2 term = 1"))
    assert code == 1 and "story.txt:10: ? 2 term = 1: node 2 has 0" in said


def test_output_that_differs_fails_by_line(scenario):
    code, said, _ = scenario(GOOD.replace("vote 1\n", "vote 2\n"))
    assert code == 1 and "story.txt:7: campaign 1" in said and "+node 1: candidate" in said


def test_rewriting_mends_the_output_only(scenario):
    broken = GOOD.replace("vote 1\n", "vote 2\n").replace("  node 2: follower\n", "")
    assert scenario(broken, "--rewrite")[2] == GOOD


def test_rewriting_leaves_a_file_whose_outcomes_do_not_hold(scenario):
    wrong = GOOD.replace("vote 1\n", "vote 2\n").replace("? 2 term = 0", "? 2 term = 1")
    code, said, text = scenario(wrong, "--rewrite")
    assert code == 1 and "? 2 term = 1" in said and text == wrong


def test_a_refusal_that_is_not_asserted_fails(scenario):
    refused = "# A story.\nnodes 1,2\npropose 1 a\n? 1 last = 0\n"
    code, said, text = scenario(refused, "--rewrite")
    assert code == 1 and "story.txt:3: refused, which nothing below it asserts" in said
    assert text == refused
    asserted = refused.replace("? 1", "? refused does not lead\n? 1")
    assert scenario(asserted, "--rewrite")[0] == 0


@pytest.mark.parametrize("step, why", [
    ("@settle 1 2", "no list of nodes"), ("@elect", "takes other words"),
    ("@lose", "takes other words"), ("@elect 9", "printed ['error campaign: there is no node 9']"),
    ("@settle 1,9", "there is no node 9"),
])
def test_a_shorthand_hides_no_error(scenario, step, why):
    code, said, _ = scenario(GOOD.replace("campaign 1", step))
    assert code == 1 and why in said and "story.txt:7: " in said


@pytest.mark.parametrize("program, why", [
    ("read line; echo violation node 1 is broken; exit 1", "violation node 1 is broken"),
    ("read line; exit 3", "raftlab ended after 'nodes 1,2'"),
])
def test_a_broken_property_or_a_crash_fails(scenario, tmp_path, program, why):
    fake = tmp_path / "raftlab"
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    for options in ([], ["--rewrite"]):
        code, said, text = scenario(GOOD, *options, raftlab=fake)
        assert code == 1 and why in said and text == GOOD


def test_commands_are_a_plain_script_of_raftlab(scenario):
    code, said, _ = scenario("# A story.\nnodes 1,2,3\n@elect 1\n? 1 role = leader\n", "--commands")
    assert code == 0 and "campaign 1\n" in said and "@" not in said
    done = subprocess.run([RAFTLAB], input=said + "status\n", capture_output=True, text=True,
                          check=True, timeout=60)
    assert "error" not in done.stdout and '"role":"leader"' in done.stdout


def test_every_scenario_beside_the_runner_is_found():
    assert len(list(HERE.glob("*.txt"))) >= 40


NODE = {"term": 3, "role": "leader", "progress": {"2": {"match": 4}}, "reads": [],
        "messages": [{"type": "append_request", "to": 2, "reject": False, "entries": [1, 2]},
                     {"type": "vote_response", "to": 3, "reject": True}]}


@pytest.mark.parametrize("text", [
    "1 term = 3", "1 term != 4", "1 term < 4", "1 term <= 3", "1 term > 2", "1 term >= 3",
    "1 role = leader", '1 role = "leader"', "1 progress.2.match = 4", "1 reads = []",
    "1 messages.length = 2", "1 messages[to=3].length = 1", "1 messages[to=7] = []",
    "1 messages[type=append_request,to=2].0.entries.1 = 2", "1 messages[reject=true].0.to = 3",
    "all term same", "1,2 term same", 'prints ["a"]', "refused no such",
])
def test_outcomes_that_hold(text):
    printed = ["error x: no such node"] if text.startswith("refused") else ["a"]
    assert fault(parse_outcome(1, text), {1: NODE, 2: NODE}, printed) is None


@pytest.mark.parametrize("text", [
    "1 term = 4", "1 term != 3", "1 term < 3", "1 role < 3", "1 term = leader", "9 term = 3",
    "1 no_such_field = 1", "1 messages.2.to = 1", "1 progress.3.match = 0", "1 term.length = 1",
    "all term same", "all term = 3", 'prints ["b"]', "prints []", "refused a",
])
def test_outcomes_that_do_not_hold(text):
    assert fault(parse_outcome(1, text), {1: NODE, 2: {**NODE, "term": 4}}, ["a"]) is not None


@pytest.mark.parametrize("text", ["", "1", "1 term", "prints a", "1 term =", "1 a..b = 1",
                                  "x term = 1", "1 term same 2"])
def test_lines_that_are_no_outcome(text):
    with pytest.raises(BadOutcome):
        parse_outcome(1, text)
