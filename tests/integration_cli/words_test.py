"""What `holdfast` answers to a command line that is wrong, and its help; no server is asked."""

import re
import subprocess

import pytest
from support.command import run
from support.paths import ROOT, program


@pytest.mark.parametrize(("line", "says"), [
    ("lock /x/f echo hi", "put -- before the command: /x/f -- echo ..."),
    ("lock desribe /x/f", 'path "desribe" does not begin with / (did you mean lock describe?)'),
    ("lock nobody /x/f", 'path "nobody" does not begin with /'),
    ("member ad", 'there is no command "member ad" (did you mean member add?)'),
    ("membr list", 'there is no command "membr" (did you mean member list?)'),
    ("membr", 'there is no command "membr" (did you mean member?)'),
    ("session exprie 3", 'there is no command "session exprie" (did you mean session expire?)'),
    ("statsu", 'there is no command "statsu" (did you mean status?)'),
    ("locks --timout 3s", "unknown flag --timout (did you mean --timeout?); see holdfast locks"),
    ("lock /x --ttll 3s -- true", "unknown flag --ttll (did you mean --ttl?)"),
    ("get /x --semaphor 1/4", "unknown flag --semaphor; see holdfast get"),
    ("member add 4 nowhere", 'ADDRESS: address "nowhere": the port is missing'),
    ("member add 4 10.0.0.4:99999", "the port is not a number from 0 to 65535"),
    ("member replace 3 4 10.0.0.4", "the port is missing"),
    ("watches jobs", 'PREFIX "jobs" does not begin with /'),
    ("watches /a /b", "one PREFIX at most"),
    ("lock revoke /x --holder 0", '--holder is "0" but must be a number from 1 to 900'),
    ("get /x --timeout 0", '--timeout is "0", in which no server can answer'),
    ("settings locks_max=99999999999999999999", "must be a number from -9223372036854775808 to 9"),
    ("put x 1", 'path "x" does not begin with /'),
    ("rm /x --version -1", '--version is "-1" but must be a number from 1 to 9007199254740991'),
    ("session expire x", 'ID is "x", not a whole number'),
    ("session expire 0", 'ID is "0" but must be a number from 1 to 9007199254740991'),
    ("lock /x/f", "a command is needed behind --"),
    ("lock / -- true", 'path "/" names no lock'),
    ("lock /x --semaphore 5/4 -- true", "5 permits are more than the limit 4"),
    ("elect /e --value foo", "--value needs a command behind --"),
    ("session", "did you mean sessions or session expire?"),
    ("log", "did you mean log inspect or log verify?"),
    ("member foo", 'there is no command "member foo" (did you mean members, member list, '),
    ("member foo", "member remove or member replace?)"),
    ("nonsense", 'there is no command "nonsense"; see'),
    ("lock describe nobody", 'path "nobody" does not begin with /'),
    ("lock describe /x//y", 'path "/x//y" has an empty segment'),
    ("lock describe /x/../y", "has a '.' or '..' segment"),
    ("locks nobody", 'PREFIX "nobody" does not begin with /'),
    ("transfer-leader x", 'NODE is "x", not a whole number; `holdfast member list` shows the ids'),
    ("transfer-leader 1001", 'NODE is "1001" but must be a number from 1 to 1000; `holdfast m'),
    ("member promote x", 'NODE is "x", not a whole number; `holdfast member list` shows the ids'),
    ("watch /x --count 99999999999999999999", "must be a number from 0 to 9223372036854775807"),
    ("lock revoke nobody", 'path "nobody" does not begin with /'),
    ("elect nobody", 'path "nobody" does not begin with /'),
    ("settings locks_max=many", '"locks_max=many" needs a whole number'),
    ("settings locks_max=5 locks_max=6", '"locks_max=6" changes what was changed already'),
    ("lock /x --ttl 5 -- true", '--ttl is "5", not a duration like 500ms, 10s'),
    ("status --timeout 1", '--timeout is "1", not a duration'),
    ("lock /x --wait 99999999999h -- true", "the longest duration is 87600h"),
    ("lock /x --wait 99999999999999999999s -- true", "the longest duration is 87600h"),
    ("lock /x --wait 87601h -- true", "the longest duration is 87600h"),
    ("lock /x --wait -1s -- true", '--wait is "-1s", not a duration'),
    ("lock /x --wait -- true", "--wait needs a value"),
    ("elect /e -- true", "--value is needed, such as --value 10.0.0.7:8080"),
    ("locks --servers http://127.0.0.1:7411", "no scheme like http:// belongs here"),
    ("log verify /nonexistent", "/nonexistent"),
    ("locks --bogus", "unknown flag --bogus; see holdfast locks --help"),
    ("lock describe /x --bogus=1", "unknown flag --bogus; see holdfast lock describe --help"),
    ("put /x --foo", "unknown flag --foo; see holdfast put --help"),
    ("rm /x -r", "flags begin with two dashes; see holdfast rm --help"),
    ("member --bogus", "unknown flag --bogus; see holdfast member --help"),
    ("--bogus locks", "unknown flag --bogus; see holdfast --help"),
    ("nonsense --bogus", "unknown flag --bogus; see holdfast --help"),
    ("settings locks_max locks_max=5", "all are NAME, to show them, or NAME=VALUE, to change them"),
    ("settings =5", '"=5" is not NAME or NAME=VALUE'),
    ("put /x --file a --file b", '--file is given twice: "a" and "b"; see holdfast put --help'),
    ("locks --timeout=3s --timeout 5s", '--timeout is given twice: "3s" and "5s"'),
    ("snapshot restore /f --data_dir /a --data-dir=/b", '--data-dir is given twice: "/a" and "/b"'),
])
def test_a_wrong_command_line_is_named(line, says):
    done = run(None, *line.split(" "))
    assert done.returncode == 64, done.stderr
    assert says in done.stderr


def test_output_that_is_not_taken_is_no_success():
    """Half an answer must not look like a whole one."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(program("holdfast")), "--help"], stdout=full,
                              stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 73
    assert done.stderr == b"holdfast: cannot write standard output: No space left on device\n"


@pytest.mark.parametrize(("words", "says"), [
    (("snapshot", "verify", ""), "one FILE is needed"),
    (("log", "inspect", ""), "one data directory is needed"),
    (("log", "verify", ""), "one data directory is needed"),
    (("session", "expire", ""), 'ID is "", not a whole number'),
    (("member", "add", "4", ""), "host and port are missing"),
    (("locks", "--servers", ""), "host and port are missing"),
    (("lock", "/x", "--ttl", "", "--", "true"), '--ttl is "", not a duration')])
def test_an_empty_word_is_a_wrong_command_line(words, says):
    done = run(None, *words)
    assert (done.returncode, done.stdout) == (64, "")
    assert says in done.stderr


def test_what_a_server_refuses_is_named_as_the_flag(cluster):
    for words in (("lock", "revoke", "/a"), ("session", "expire", "7")):
        done = run(cluster, *words, "--notice", "2h")
        assert done.returncode == 65, done.stderr
        assert "--notice in ms is 7200000, allowed are 0 to 3600000" in done.stderr


def test_an_empty_path_is_named():
    done = run(None, "lock", "describe", "")
    assert (done.returncode, 'path "" does not begin with /' in done.stderr) == (64, True)


def test_the_help_of_a_word_that_begins_commands_lists_them():
    done = run(None, "member", "--help")
    assert done.returncode == 0
    assert "member promote" in done.stdout and "member replace" in done.stdout
    assert "snapshot" not in done.stdout
    assert run(None, "nonsense", "--help").returncode == 64


def test_it_says_which_version_it_is():
    server = subprocess.run([str(program("holdfastd")), "--version"], capture_output=True,
                            text=True, timeout=30, check=True).stdout
    done = run(None, "--version")
    assert done.returncode == 0
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+, feature level \d+(, commit \w+)?\n",
                        done.stdout), done.stdout
    assert server == done.stdout.replace("holdfast", "holdfastd")


def test_each_flag_of_the_server_is_explained_by_itself():
    """They stand in the order of their names, so none can go on where another ended."""
    told = subprocess.run([str(program("holdfastd")), "--help"], capture_output=True, text=True,
                          timeout=30, check=True).stdout
    first_lines = re.findall(r"^  --\w+=.*\n {6}(\S.*)", told, re.MULTILINE)
    assert len(first_lines) > 30
    assert [line for line in first_lines if line.startswith(("and ", "or "))] == []


NOWHERE = "127.0.0.1:1"
UNREACHABLE = 69


@pytest.mark.parametrize(("line", "other", "own"), [
    ("locks", "HOLDFAST_ADMIN", "HOLDFAST_SERVERS"),
    ("get /a", "HOLDFAST_ADMIN", "HOLDFAST_SERVERS"),
    ("lock /a -- true", "HOLDFAST_ADMIN", "HOLDFAST_SERVERS"),
    ("status", "HOLDFAST_SERVERS", "HOLDFAST_ADMIN"),
    ("members", "HOLDFAST_SERVERS", "HOLDFAST_ADMIN"),
    ("sessions", "HOLDFAST_SERVERS", "HOLDFAST_ADMIN"),
    ("settings", "HOLDFAST_SERVERS", "HOLDFAST_ADMIN"),
])
def test_only_the_addresses_that_a_command_asks_are_looked_at(line, other, own):
    words = [*line.split(" -- ")[0].split(" "), "--timeout", "300ms"]
    words += ["--", "true"] if " -- " in line else []
    done = run(None, *words, environment={own: NOWHERE, other: "no port"})
    assert done.returncode == UNREACHABLE, done.stderr
    done = run(None, *words, environment={own: "no port", other: NOWHERE})
    assert done.returncode == 64 and own in done.stderr, done.stderr


@pytest.mark.parametrize(("given", "asked"), [
    ("127.0.0.2", ["127.0.0.2:{port}"]),
    ("127.0.0.1:1, 127.0.0.2:1 ,\t127.0.0.3", ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:{port}"]),
    ("[::1]", ["[::1]:{port}"]),
    ("[::1]:1", ["[::1]:1"])])
def test_addresses_may_have_blanks_and_no_port_as_in_the_python_client(given, asked):
    for line, variable, port in (("locks", "HOLDFAST_SERVERS", 7411),
                                 ("settings", "HOLDFAST_ADMIN", 7413)):
        for done in (run(None, line, "--timeout", "300ms", environment={variable: given}),
                     run(None, line, "--timeout", "300ms", "--" + variable[9:].lower(), given)):
            assert done.returncode == UNREACHABLE, done.stderr
            for address in asked:
                assert address.format(port=port) in done.stderr


def test_a_directory_without_a_log_is_not_damaged(tmp_path):
    done = run(None, "log", "verify", str(tmp_path))
    assert done.returncode == 64
    assert "no server's --data_dir" in done.stderr


def test_a_log_without_its_identity_is_damaged(tmp_path):
    (tmp_path / "group-1" / "log").mkdir(parents=True)
    assert run(None, "log", "verify", str(tmp_path)).returncode == 1


def test_the_help_has_every_exit_code_of_the_handbook_and_each_command_leads_there():
    handbook = (ROOT / "docs" / "install.md").read_text().split("Of `holdfast`:")[1]
    codes = [line.split("|")[1].strip() for line in handbook.splitlines()
             if line.startswith("|")][3:]
    shown = run(None, "--help").stdout.split("Exit codes:\n")[1].splitlines()
    told = [line[2:12].strip() for line in shown if line[2:12].strip()]
    assert told == codes
    for command in ("get", "lock", "status", "log verify"):
        assert "`holdfast --help` lists them all" in run(None, *command.split(), "--help").stdout


def test_each_alarm_stands_in_the_table_of_the_handbook():
    raised = {name for source in (ROOT / "coordinator").rglob("*.cc")
              for name in re.findall(r'make_alarm\(\s*"([A-Z_]+)"', source.read_text("utf-8"))}
    section = (ROOT / "docs" / "operations.md").read_text("utf-8").split("\n### Alarms\n")[1]
    rows = [[cell.strip() for cell in line.split(" | ")]
            for line in section.split("\n###")[0].splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows] == sorted(raised)
    assert all(len(row) == 3 for row in rows)


def test_help_offers_servers_only_where_one_is_asked():
    assert "HOLDFAST_SERVERS" in run(None, "lock", "--help").stdout
    assert "--servers" not in run(None, "log", "verify", "--help").stdout
    assert run(None, "sessions", "--help").stdout.startswith("holdfast sessions\n")
