"""./dev installs what is missing and no more, shows the command, and asks only a person.

dpkg-query, apt-get and sudo are stand-ins on PATH; they keep their state in a folder of the test.
"""

import fcntl
import os
import pty
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STAND_INS = {
    "dpkg-query": r"""
        for name in "$@"; do
          grep -qx -- "$name" "$STATE/installed" && printf 'installed:%s ' "$name"
        done
        exit 0""",
    "apt-get": r"""
        printf '%s\n' "$*" >>"$STATE/calls"
        case "$*" in
          update) touch "$STATE/lists" ;;
          install*)
            [ -e "$STATE/lists" ] || exit 100
            [ -e "$STATE/broken" ] && { echo "E: no space left"; exit 100; }
            case " $* " in *" -s "*) exit 0 ;; esac
            printf '%s\n' "$@" >>"$STATE/installed" ;;
        esac""",
    "sudo": r"""exec "$@" """,
}


@pytest.fixture
def machine(tmp_path):
    """A machine on which everything is installed but shellcheck and mypy."""
    for name, body in STAND_INS.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\n" + body + "\n")
        script.chmod(0o755)
    dev = (ROOT / "dev").read_text()
    (tmp_path / "dev").write_text(dev)
    (tmp_path / "dev").chmod(0o755)
    for folder in ("bench", "cmake", "tests"):  # with what judges the words of some commands
        (tmp_path / folder).symlink_to(ROOT / folder)
    lists = [line.split("=(")[1] for line in dev.replace("\n  ", " ").splitlines()
             if line.startswith(("BUILD_PACKAGES=(", "TEST_PACKAGES=("))]
    names = " ".join(text.rstrip(")") for text in lists).split()
    assert "cmake" in names and "shellcheck" in names
    (tmp_path / "installed").write_text(
        "\n".join(n for n in names if n not in ("shellcheck", "mypy")) + "\n")
    (tmp_path / "lists").touch()
    (tmp_path / "calls").touch()
    return tmp_path


def environment(machine):
    return {**os.environ, "STATE": str(machine), "PATH": f"{machine}/bin:{os.environ['PATH']}"}


def dev(machine, *words):
    return subprocess.run([str(machine / "dev"), *words], env=environment(machine), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)


def dev_on_a_terminal(machine, answer, *words):
    """Runs ./dev on a terminal with `answer` typed ahead: what it printed, how it ended."""
    leader, follower = pty.openpty()
    os.write(leader, answer)
    process = subprocess.Popen([str(machine / "dev"), *words], env=environment(machine),
                               stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 4096):
            said += chunk
    except OSError:  # the terminal's way of saying that nobody writes any more
        pass
    os.close(leader)
    return said.decode(), process.wait(timeout=60)


def calls(machine):
    return (machine / "calls").read_text().splitlines()


INSTALL = "install -y --no-install-recommends shellcheck mypy"


def test_only_what_is_missing_is_installed_and_the_command_is_shown(machine):
    done = dev(machine, "setup")
    assert done.returncode == 0, done.stdout
    assert f"apt-get {INSTALL}" in done.stdout
    assert calls(machine) == ["install -s shellcheck mypy", INSTALL]


def test_nothing_is_run_when_nothing_is_missing(machine):
    dev(machine, "setup")
    (machine / "calls").write_text("")
    assert dev(machine, "setup").returncode == 0
    assert calls(machine) == []


def test_the_package_lists_are_fetched_once_when_there_are_none(machine):
    (machine / "lists").unlink()
    assert dev(machine, "setup").returncode == 0
    assert calls(machine) == ["install -s shellcheck mypy", "update", INSTALL]


def test_a_failed_install_shows_what_apt_said(machine):
    (machine / "broken").touch()
    done = dev(machine, "setup")
    assert done.returncode == 1
    assert "no space left" in done.stdout and "build/log/install.log" in done.stdout


def test_a_person_is_asked_and_may_refuse(machine):
    said, status = dev_on_a_terminal(machine, b"n\n", "setup")
    assert "Run it now?" in said and status == 1
    assert calls(machine) == []


def test_a_person_who_agrees_gets_the_packages(machine):
    said, status = dev_on_a_terminal(machine, b"\n", "setup")
    assert "Run it now?" in said and status == 0
    assert INSTALL in calls(machine)


def test_yes_asks_nobody(machine):
    said, status = dev_on_a_terminal(machine, b"", "setup", "--yes")
    assert "Run it now?" not in said and status == 0
    assert INSTALL in calls(machine)


def test_run_asks_for_no_package_of_the_tests(machine):
    done = dev(machine, "run")
    assert "Missing Debian packages" not in done.stdout
    assert calls(machine) == []


def test_compare_alone_asks_for_the_other_systems(machine):
    dev(machine, "compare")
    asked = calls(machine)[-1].split()
    assert {"zookeeper", "etcd-server"} <= set(asked)
    assert "shellcheck" not in asked


def test_an_unknown_command_is_named(machine):
    done = dev(machine, "destroy")
    assert done.returncode == 1 and "no command named 'destroy'" in done.stdout


@pytest.mark.parametrize("words", [("clean", "--help"), ("setup", "-h"), ("run", "--help"),
                                   ("help",), ("--help",)], ids=" ".join)
def test_help_is_shown_and_nothing_is_done(machine, words):
    (machine / "build").mkdir()
    done = dev(machine, *words)
    assert done.returncode == 0 and "./dev COMMAND" in done.stdout
    assert (machine / "build").exists() and calls(machine) == []


@pytest.mark.parametrize("command, shown", [
    ("bench", "--profile "), ("compare", "--systems "), ("simulate", "--shrink_seconds "),
    ("chaos", "--seed "), ("fuzz", "--keep "), ("mutants", "--shard ")])
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_of_what_must_be_built_is_shown_before_anything_is_done_for_it(machine, command, shown,
                                                                            word):
    done = dev(machine, command, word)
    assert done.returncode == 0 and shown in done.stdout
    assert "Configuring" not in done.stdout and calls(machine) == []


@pytest.mark.parametrize("words, complaint", [
    ("bench --bogus", "no flag '--bogus'"), ("bench --seconds=soon", "--seconds=soon: it is a num"),
    ("compare --bogus", "unrecognized arguments: --bogus"),
    ("compare --systems=walnut", "walnut"),
    ("simulate --bogus", "no flag '--bogus'"), ("simulate 7", "no argument '7'"),
    ("simulate --seeds=many", "--seeds=many: it is a whole number"),
    ("simulate --seeds", "--seeds needs a value"),
    ("simulate --full=perhaps", "--full=perhaps: it is a switch"),
    ("chaos --bogus", "unrecognized arguments: --bogus"), ("chaos --nodes=4", "4"),
    ("fuzz --bogus", "unrecognized arguments: --bogus"),
    ("mutants --shard=2/1", "--shard=2/1"), ("mutants walnut", "no mutant named 'walnut'"),
    ("lint walnut", "no check named walnut"), ("upgrade walnut", "no revision 'walnut'"),
    ("build --once", "takes no '--once'"), ("test --all", "not '--all'")])
def test_wrong_words_are_named_before_anything_is_done_for_the_command(machine, words, complaint):
    done = dev(machine, *words.split())
    assert done.returncode != 0 and complaint in done.stdout
    assert "Configuring" not in done.stdout and calls(machine) == []


def flags_by_the_source(name):
    return subprocess.run(["/usr/bin/python3", "-B", str(ROOT / "cmake" / "program_flags.py"),
                           str(ROOT / name), "it", "--help"], text=True, capture_output=True,
                          timeout=60, check=True).stdout


@pytest.mark.parametrize("source", ["bench/holdfast_bench.cc",
                                    "tests/simulation/program/simulate.cc"])
def test_every_flag_of_a_program_is_known_before_it_is_built(source):
    defined = [line.split("(")[1].split(",")[0].strip()
               for line in (ROOT / source).read_text().replace("(\n    ", "(").splitlines()
               if line.startswith("DEFINE_")]
    shown = flags_by_the_source(source)
    assert len(defined) > 10
    assert [name for name in defined if f"  --{name} " not in shown] == []


def test_good_words_of_a_program_are_left_to_it():
    words = ["--seeds=3", "--minutes", "0.5", "--nofull", "-twice=false", "--stride=0x2"]
    subprocess.run(["/usr/bin/python3", "-B", str(ROOT / "cmake" / "program_flags.py"),
                    str(ROOT / "tests/simulation/program/simulate.cc"), "it", *words],
                   timeout=60, check=True)


def test_the_mutants_are_listed_without_a_package(machine):
    done = dev(machine, "mutants", "--list")
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 10
    assert calls(machine) == []


@pytest.mark.parametrize("command", ["build", "format", "setup", "clean"])
def test_a_word_that_a_command_does_not_take_is_named(machine, command):
    (machine / "build").mkdir()
    done = dev(machine, command, "bogus")
    assert done.returncode == 1 and f"./dev {command} takes no 'bogus'" in done.stdout
    assert (machine / "build").exists() and calls(machine) == []


@pytest.mark.parametrize("word, complaint", [
    ("--port=abc", "--port=abc: the first of 24 ports is a number from 1024 to 65512"),
    ("--port=65513", "--port=65513: the first"), ("--port=1023", "--port=1023: the first"),
    ("--port=", "--port=: the first"), ("--port", "not '--port'"), ("extra", "not 'extra'")])
def test_arguments_of_run_are_judged_before_anything_is_done_for_it(machine, word, complaint):
    done = dev(machine, "run", word)
    assert done.returncode == 1 and complaint in done.stdout
    assert "Configuring" not in done.stdout and calls(machine) == []


def test_a_second_build_in_a_clone_waits_for_the_first(machine):
    folder = os.open(machine, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    process = subprocess.Popen([str(machine / "dev"), "build"], env=environment(machine), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        assert "Another ./dev is building here" in process.stdout.readline()
        assert process.poll() is None
    finally:
        os.close(folder)
        said, _ = process.communicate(timeout=60)
    assert "Configuring" in said


@pytest.mark.parametrize("words, complaint", [
    ([], "no target given"),
    (["walnut"], "no target named 'walnut'"),
    (["core", "--minutes", "soon"], "--minutes=soon: it is a number above 0"),
    (["core", "--minutes", "0"], "--minutes=0: it is a number above 0"),
    (["core", "--forever"], "unrecognized arguments: --forever"),
])
def test_a_fuzzer_that_cannot_run_is_one_line_that_lists_the_targets(words, complaint):
    done = subprocess.run([str(ROOT / "dev"), "fuzz", *words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode != 0 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert complaint in done.stderr
    assert "targets are dispatch, recovery, commands, core" in done.stderr


def test_a_test_of_an_unknown_kind_is_named(machine):
    done = dev(machine, "test", "msan")
    assert done.returncode == 1 and "not 'msan'" in done.stdout
    assert calls(machine) == []
