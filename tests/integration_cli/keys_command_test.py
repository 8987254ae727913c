"""The `holdfast` command on keys, against real servers."""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest
from holdfast_api.keys import ttypes as k
from support.cluster import Cluster
from support.command import run
from support.paths import program
from support.stock import Stock
from support.waiting import eventually


@pytest.fixture(scope="module", name="cluster")
def one_for_all():
    """Three servers for the file; its tests use keys of their own."""
    with Cluster(3) as started:
        started.wait_ready()
        yield started


def done(cluster, *words, **options):
    """What a command that succeeds prints."""
    answer = run(cluster, *words, **options)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def feed(cluster, text, *words):
    """A command with something on its standard input."""
    servers = ",".join(node.address for node in cluster.nodes.values())
    return subprocess.run([str(program("holdfast")), *words], input=text, capture_output=True,
                          env=dict(os.environ, HOLDFAST_SERVERS=servers), timeout=30, check=False)


def test_a_value_comes_from_the_argument_a_file_or_standard_input(cluster, tmp_path):
    assert done(cluster, "put", "/v", "one") == "/v version 1\n"
    assert done(cluster, "get", "/v") == "one"
    (tmp_path / "value").write_bytes(b"two\n\x00\xff")
    done(cluster, "put", "/v", "--file", str(tmp_path / "value"))
    assert feed(cluster, None, "get", "/v").stdout == b"two\n\x00\xff"
    assert feed(cluster, b"three\n", "put", "/v").returncode == 0
    assert done(cluster, "get", "/v", "--local") == "three\n"


def version(cluster, path):
    """Of a key, as the flag takes it."""
    return str(json.loads(done(cluster, "get", path, "--json"))["version"])


def test_people_see_the_beginning_of_a_long_value_and_programs_all(cluster):
    value = "x" * 1_000_000
    assert feed(cluster, value.encode(), "put", "/long/v", "--parents").returncode == 0
    for words in (["ls", "/long"], ["ls", "/long", "-l"], ["tree", "/long"],
                  ["watch", "/long/v", "--since", "0", "--count", "1"]):
        shown = done(cluster, *words, "--values")
        assert "x" * 256 + "... (1000000 bytes)" in shown and len(shown) < 1_000
        told = done(cluster, *words, "--values", "--json") if "-l" not in words else value
        assert value in told
    assert done(cluster, "get", "/long/v") == value


def test_an_empty_value_or_a_dash_is_written_only_if_it_is_asked_for(cluster):
    """Standard input is empty where nobody meant it: under cron, behind a program that failed. And
    a dash is standard input to other programs."""
    done(cluster, "put", "/full", "one")
    for words in (["put", "/full"], ["create", "/fresh"]):
        refused = feed(cluster, b"", *words)
        assert refused.returncode == 64
        assert b'standard input is empty: an empty value is given as ""' in refused.stderr
    assert done(cluster, "get", "/full") == "one"
    assert run(cluster, "get", "/fresh").returncode == 66
    dash = feed(cluster, b"piped", "put", "/full", "-")
    assert dash.returncode == 64 and b"leave VALUE out" in dash.stderr
    assert done(cluster, "get", "/full") == "one"
    assert feed(cluster, b"-", "put", "/full").returncode == 0
    assert done(cluster, "get", "/full") == "-"
    for value in ("--verbose", "-x", "-"):
        assert feed(cluster, b"piped", "put", "/full", "--version", version(cluster, "/full"), "--",
                    value).returncode == 0
        assert done(cluster, "get", "/full") == value
    assert feed(cluster, b"", "put", "/full", "--file", "-").returncode == 0
    assert done(cluster, "get", "/full") == ""
    done(cluster, "put", "/full", "two")
    done(cluster, "put", "/full", "")
    assert done(cluster, "get", "/full") == ""


def test_a_value_is_not_waited_for_on_a_terminal():
    leader, follower = os.openpty()
    answer = subprocess.run([str(program("holdfast")), "put", "/v"], stdin=follower, timeout=30,
                            capture_output=True, text=True, check=False)
    os.close(follower)
    os.close(leader)
    assert (answer.returncode, "a VALUE is needed behind the PATH" in answer.stderr) == (64, True)


def test_values_that_are_no_text_are_base64_in_json(cluster):
    feed(cluster, b"\x00\xffA", "put", "/binary")
    told = json.loads(done(cluster, "get", "/binary", "--json"))
    assert "value" not in told
    assert told["value_base64"] == "AP9B"
    assert (told["version"], told["kind"], told["value_bytes"]) == (1, "persistent", 3)


@pytest.mark.parametrize("words", [("get", "/told-of"), ("ls", "/told-of"), ("tree", "/told-of")])
def test_a_read_waits_for_the_revision_that_another_program_told_of(cluster, words):
    written = json.loads(done(cluster, "put", "/told-of", "1", "--json"))
    least = str(written["revision"])
    for node in cluster.nodes.values():
        answer = run(cluster, *words, "--local", "--min-revision", least, nodes=[node])
        assert answer.returncode == 0, answer.stderr
    def too_late(more):
        return run(cluster, *words, *more, "--min-revision", str(written["revision"] + 1000),
                   "--timeout", "5s")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for late in pool.map(too_late, ([], ["--local"])):
            assert late.returncode == 69
            assert f"the call needs {written['revision'] + 1000}" in late.stderr


def test_a_missing_key_has_an_exit_code_of_its_own(cluster):
    for words in (("get", "/none"), ("ls", "/none"), ("tree", "/none")):
        answer = run(cluster, *words)
        assert (answer.returncode, answer.stdout) == (66, "")
        assert "there is no key /none" in answer.stderr


def test_writes_are_refused_by_version_and_say_why(cluster):
    done(cluster, "put", "/versioned", "1", "--new")
    there = run(cluster, "put", "/versioned", "1", "--new")
    assert there.returncode == 65
    assert "there is a key /versioned already; --new writes only where" in there.stderr
    done(cluster, "put", "/versioned", "2", "--version", "1")
    stale = run(cluster, "put", "/versioned", "3", "--version", "1")
    assert stale.returncode == 65
    assert "BAD_VERSION" in stale.stderr
    assert run(cluster, "rm", "/versioned", "--version", "1").returncode == 65
    assert done(cluster, "rm", "/versioned", "--version", "2") == "1 key removed\n"
    assert run(cluster, "put", "/gone/child", "1").returncode == 65
    done(cluster, "put", "/gone/child", "1", "--parents")
    refused = run(cluster, "rm", "/gone")
    assert (refused.returncode, "NOT_EMPTY" in refused.stderr) == (65, True)
    assert done(cluster, "rm", "/gone", "--recursive") == "2 keys removed\n"


def create_below(stock, parent, count):
    """So many keys without children."""
    stock.put(path=parent, value=b"", makeParents=True)
    for first in range(0, count, 1_000):
        stock.transact(compares=[], otherwiseOperations=[], thenOperations=[
            k.Operation(put=k.PutRequest(path=f"{parent}/k{n}", value=b""))
            for n in range(first, min(first + 1_000, count))])


def test_more_keys_than_one_entry_may_remove_go_in_parts(cluster):
    with Stock(cluster.leader().address) as stock:
        create_below(stock, "/many/wide", 10_500)
        for n in range(11):
            create_below(stock, f"/many/deep/d{n}/e", 1_000)
    at_once = run(cluster, "rm", "/many", "--recursive")
    assert (at_once.returncode, "--in-parts removes" in at_once.stderr) == (65, True)
    assert len(done(cluster, "ls", "/many").splitlines()) == 2, "nothing went"
    told = json.loads(done(cluster, "rm", "/many", "--recursive", "--in-parts", "--json"))
    assert told["removed"] == 10_500 + 1 + 11 * 1_002 + 1 + 1
    assert run(cluster, "get", "/many").returncode == 66
    missing = run(cluster, "rm", "/many", "--recursive", "--in-parts")
    assert (missing.returncode, "NO_KEY" in missing.stderr) == (65, True)
    for words in (["--in-parts"], ["--in-parts", "--recursive", "--version", "3"]):
        wrong = run(cluster, "rm", "/many", *words)
        assert (wrong.returncode, "--in-parts needs --recursive" in wrong.stderr) == (64, True)


def test_lists_and_trees(cluster):
    done(cluster, "put", "/t/a/b", "deep", "--parents")
    done(cluster, "put", "/t/c", "x\ty")
    assert done(cluster, "ls", "/t") == "/t/a\n/t/c\n"
    assert done(cluster, "tree", "/t", "--values") == (
        "/t\n  a = \n    b = deep\n  c = x\\x09y\n")
    table = done(cluster, "ls", "/t", "-l").splitlines()
    assert table[0].split() == ["KIND", "VERSION", "BYTES", "CHILDREN", "MODIFIED", "PATH"]
    assert table[1].split()[:4] == ["persistent", "1", "0", "1"]
    told = json.loads(done(cluster, "tree", "/t", "--json", "--values"))
    assert [(key["path"], key["value"]) for key in told] == [
        ("/t/a", ""), ("/t/a/b", "deep"), ("/t/c", "x\ty")]
    assert "/t\n" in done(cluster, "ls")
    assert done(cluster, "ls", "/t/c") == ""


def test_what_is_known_of_a_key_is_shown(cluster):
    done(cluster, "put", "/known", "one")
    done(cluster, "put", "/known/a", "")
    done(cluster, "put", "/known/b", "")
    done(cluster, "rm", "/known/a")
    key = json.loads(done(cluster, "get", "/known", "--json"))
    shown = dict(line.split(None, 1)
                 for line in done(cluster, "get", "/known", "--long").splitlines())
    assert shown["children"] == f"1, version 3, revision {key['children_revision']}"
    assert shown["created"].endswith(f", revision {key['create_revision']}")
    assert (shown["version"], shown["bytes"], shown["kind"]) == ("1", "3", "persistent")
    assert "children   0\n" in done(cluster, "get", "/known/b", "--long")


def test_sequential_keys_and_kinds(cluster):
    done(cluster, "put", "/queue", "")
    first = done(cluster, "create", "/queue/job-", "resize", "--sequential").strip()
    second = done(cluster, "create", "/queue/job-", "resize", "--sequential").strip()
    assert first < second
    assert len(first) == len("/queue/job-") + 20
    assert run(cluster, "create", first, "").returncode == 65
    done(cluster, "create", "/queue/soon", "", "--ttl", "1h")
    assert json.loads(done(cluster, "get", "/queue/soon", "--json"))["ttl_ms"] == 3_600_000
    box = subprocess.run([str(program("holdfast")), "create", "/queue/box", "--container"],
                         env=dict(os.environ, HOLDFAST_SERVERS=cluster.leader().address),
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert box.stdout == "/queue/box\n", box.stderr
    assert "container" in done(cluster, "get", "/queue/box", "--long")
    assert done(cluster, "get", "/queue/box") == ""


def test_an_ephemeral_key_is_there_while_its_command_runs(cluster):
    script = f"{program('holdfast')} get $HOLDFAST_KEY --json; exit 5"
    answer = run(cluster, "create", "/here", "10.0.0.7:80", "--ephemeral", "--", "sh", "-c", script)
    assert answer.returncode == 5, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["value"], told["kind"]) == ("10.0.0.7:80", "ephemeral")
    assert run(cluster, "get", "/here").returncode == 66


def test_the_command_of_an_ephemeral_key_is_stopped_when_its_session_is_ended(cluster):
    script = f"{program('holdfast')} session expire $HOLDFAST_SESSION --force >&2; sleep 60"
    answer = run(cluster, "create", "/expired", "", "--ephemeral", "--", "sh", "-c", script)
    assert answer.returncode == 76, answer.stderr
    assert "the key is gone" in answer.stderr


def test_the_command_of_an_ephemeral_key_is_stopped_when_the_key_is_removed(cluster):
    script = f"trap 'echo told; exit 3' TERM; {program('holdfast')} rm $HOLDFAST_KEY >&2; "
    # A shell that is told between its fork and the exec of sleep leaves that behind: it must not
    # hold the output open.
    script += "sleep 60 >/dev/null 2>&1 & wait"
    answer = run(cluster, "create", "/taken", "", "--ephemeral", "--", "sh", "-c", script)
    assert (answer.returncode, answer.stdout) == (76, "told\n"), answer.stderr
    assert "the key is gone (it was removed); stopping the command" in answer.stderr


def test_a_command_that_does_not_stop_is_killed_with_its_group(cluster):
    script = f"trap '' TERM; {program('holdfast')} rm $HOLDFAST_KEY >&2; sleep 60; echo survived"
    words = ["create", "/deaf", "", "--ephemeral", "--session-ttl", "4s", "--", "sh", "-c", script]
    answer = run(cluster, *words)
    assert (answer.returncode, answer.stdout) == (76, ""), answer.stderr


def test_a_changed_ephemeral_key_leaves_its_command_alone(cluster):
    script = f"{program('holdfast')} put $HOLDFAST_KEY 2; sleep 1; exit 4"
    answer = run(cluster, "create", "/changed", "1", "--ephemeral", "--", "sh", "-c", script)
    assert answer.returncode == 4, answer.stderr


def test_the_command_is_told_before_a_session_under_notice_ends(cluster):
    """The key is there when SIGTERM comes: it is a margin before the notice's end."""
    holdfast = program("holdfast")
    script = (f"trap '{holdfast} get $HOLDFAST_KEY; exit' TERM; "
              f"{holdfast} session expire $HOLDFAST_SESSION --reason tidying >&2; "
              "sleep 60 >/dev/null 2>&1 & wait")
    words = ["create", "/noticed", "still here", "--ephemeral", "--session-ttl", "8s", "--",
             "sh", "-c", script]
    answer = run(cluster, *words)
    assert (answer.returncode, answer.stdout) == (76, "still here"), answer.stderr
    assert "the session is being ended" in answer.stderr


@pytest.mark.parametrize(("act", "kind"), [
    ("session expire $HOLDFAST_SESSION --notice 2s --reason tidying", "notice"),
    ("session expire $HOLDFAST_SESSION --force", "session_ended"),
    ("rm $HOLDFAST_KEY", "gone")])
def test_programs_are_told_of_the_end_of_an_ephemeral_key_by_a_json_line(cluster, act, kind):
    script = f"{program('holdfast')} {act} >/dev/null; sleep 60"
    answer = run(cluster, "create", "/told", "", "--ephemeral", "--json", "--", "sh", "-c", script)
    assert (answer.returncode, answer.stdout) == (76, ""), answer.stderr
    told = json.loads(answer.stderr)
    assert told["type"] == kind and told["session_id"] > 0 and told["reason"]
    assert answer.stderr.count("\n") == 1


def test_a_signal_ends_the_command_and_the_ephemeral_key(cluster):
    servers = ",".join(node.address for node in cluster.nodes.values())
    words = ["create", "/signalled", "", "--ephemeral", "--servers", servers, "--", "sleep", "60"]
    with subprocess.Popen([str(program("holdfast")), *words]) as process, \
            Stock(cluster.nodes[1].address) as stock:
        eventually(lambda: stock.get(path="/signalled").found)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert not stock.get(path="/signalled").found


def test_a_transaction_does_one_list_or_the_other(cluster):
    text = b"""
      # makes the lock file, or counts the refusals
      if absent /txn/holder
      then put /txn/holder "me \\"first\\"\\n" parents
      else create /txn/refused- "" sequential
    """
    first = feed(cluster, text, "txn", "-", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["succeeded"] is True
    assert done(cluster, "get", "/txn/holder") == 'me "first"\n'
    second = feed(cluster, text, "txn", "-")
    assert second.returncode == 1
    assert b"did not hold" in second.stdout
    assert b"/txn/refused-" in second.stdout
    compares = b"""
      if exists /txn/holder
      if version /txn/holder < 2
      if value /txn/holder != other
      if created /txn/holder > 1
      then rm /txn recursive
    """
    assert feed(cluster, compares, "txn", "-").returncode == 0
    assert run(cluster, "get", "/txn").returncode == 66
    failed = feed(cluster, b"then rm /txn", "txn", "-")
    assert (failed.returncode, b"NO_KEY" in failed.stderr) == (65, True)


@pytest.mark.parametrize(("line", "says"), [
    ("get", "a PATH is needed"),
    ("get nobody", 'path "nobody" does not begin with /'),
    ("get /a//b", "empty segment"),
    ("get /a --min-revision -1", '--min-revision is "-1" but must be a number from 0 to'),
    ("ls /a --min-revision 9007199254740992", "must be a number from 0 to 9007199254740991"),
    ("tree /a --min-revision now", '--min-revision is "now", not a whole number'),
    ("watch /a --since 9007199254740992", "must be a number from 0 to 9007199254740991"),
    ("put /a b --version 9007199254740992", "must be a number from 1 to 9007199254740991"),
    ("session expire 9007199254740992", "must be a number from 1 to 9007199254740991"),
    ("lock revoke /a --holder 9007199254740992", "must be a number from 1 to 9007199254740991"),
    ("get /a b", '"b" is one word too many'),
    ("put / x", "the root, which is no key"),
    ("put /a b c", '"c" is one word too many'),
    ("put /a b --file x", "VALUE and --file exclude each other"),
    ("put /a --file /nonexistent/file", "/nonexistent/file"),
    ("put /a -- --b c", '"c" is one word too many'),
    ("put /a -", "`put PATH -- -` writes a dash"),
    ("watch /a -- true", 'nothing runs what stands behind --'),
    ("put /a b --version 0", '--version is "0", which no key has: --new writes only where there'),
    ("rm /a --version 0", '--version is "0" but must be a number from 1'),
    ("put /a b --version 1 --new", "--new and --version exclude each other"),
    ("create /a b --ephemeral", "--ephemeral needs a command behind --"),
    ("create /a b -- true", "a command needs --ephemeral"),
    ("create /a b --session-ttl 20s", "--session-ttl needs --ephemeral"),
    ("create /a b --container --ttl 10s", "exclude each other"),
    ("create /a b --ttl soon", 'is "soon", not a duration'),
    ("rm /a -l", "unknown flag -l"),
    ("txn /nonexistent/file", "/nonexistent/file"),
    ("txn", "one FILE is needed"),
    ("get /a --servers 127.0.0.1:", "--servers is \"127.0.0.1:\": address \"127.0.0.1:\""),
    ("get /a --servers 127.0.0.1:99999", "127.0.0.1:99999"),
    ("get /a --servers 127.0.0.1:7411,", "--servers is \"127.0.0.1:7411,\": address \"\""),
    ("get /a --servers 127.0.0.1:0", "port 0 of \"127.0.0.1:0\" cannot be dialled"),
    ("status --admin 127.0.0.1:", "--admin is"),
])
def test_a_wrong_command_line_is_named(line, says):
    answer = run(None, *line.split(" "))
    assert answer.returncode == 64, answer.stderr
    assert says in answer.stderr


@pytest.mark.parametrize(("text", "says"), [
    ("", "there is nothing to do"),
    ("if exists /a", "there is nothing to do"),
    ("\nwhen /a", 'line 2: "when" is not if, then or else'),
    ("then copy /a /b", '"copy" is not put, create or rm'),
    ("then put a b", 'path "a" does not begin with /'),
    ("then put /a", "VALUE is missing"),
    ("then put /a b soon", '"soon" is not version, new or parents'),
    ("then rm /a version x", 'version is "x"'),
    ("if version /a ~ 3", '"~" is not =, !=, < or >'),
    ("if version /a = -1", 'version is "-1" but must be a number from 0'),
    ("if value /a = x y\nthen rm /a", '"y" is not expected'),
    ('then put /a "open', "a quote is not closed"),
    ('then put /a "\\q"', "a \\ is not followed by"),
    ("then put /a b new version 3", "new and version exclude each other"),
    ("then put /a b version 3 parents new", "new and version exclude each other"),
    ("then create /a b ttl 5s container", "container and ttl exclude each other"),
    ("then create /a b container ttl 5s", "container and ttl exclude each other"),
    ("then create /a b container ttl 0s", "ttl must be above 0"),
    ("\x1b[31m /a", '"\\x1b[31m" is not if, then or else'),
    ("\u00e9 /a \u009b", '"\u00e9" is not if, then or else'),
    ("if exists /a \u009b", '"\\xc2\\x9b" is not expected'),
])
def test_a_wrong_transaction_is_named_with_its_line(tmp_path, text, says):
    (tmp_path / "script").write_text(text, encoding="utf-8")
    answer = run(None, "txn", str(tmp_path / "script"))
    assert answer.returncode == 64, answer.stderr
    assert says in answer.stderr


def test_bytes_that_are_no_text_are_escaped_in_an_error(tmp_path):
    (tmp_path / "script").write_bytes(b"then \xff\xe2\x82")
    answer = run(None, "txn", str(tmp_path / "script"))
    assert answer.returncode == 64
    assert '"\\xff\\xe2\\x82" is not put' in answer.stderr


def test_wrong_addresses_of_the_environment_are_named_but_not_to_a_command_without_servers():
    environment = dict(os.environ, HOLDFAST_SERVERS="127.0.0.1:")
    for words, code, says in ((["get", "/a"], 64, 'HOLDFAST_SERVERS is "127.0.0.1:"'),
                              (["log", "verify", "/nonexistent"], 64, "/nonexistent")):
        answer = subprocess.run([str(program("holdfast")), *words], env=environment, timeout=30,
                                capture_output=True, text=True, check=False)
        assert (answer.returncode, says in answer.stderr) == (code, True), answer.stderr


def test_a_refused_step_is_named_by_its_line(cluster):
    text = b"\n# too short\nthen put /refused/a 1 parents\nthen create /refused/b 2 ttl 1ms\n"
    answer = feed(cluster, text, "txn", "-")
    assert answer.returncode == 65
    assert b"holdfast: standard input, line 4: ttl in ms is 1, allowed are" in answer.stderr
    other = feed(cluster, b"if exists /refused\nelse rm /refused/none", "txn", "-")
    assert other.returncode == 65
    assert b"holdfast: standard input, line 2: " in other.stderr, other.stderr


def test_each_step_of_a_transaction_is_told_with_its_path(cluster):
    text = (b"then put /steps 1\nthen create /steps/a 2\nthen create /steps/n- 3 sequential\n"
            b"then rm /steps/a")
    steps = json.loads(feed(cluster, text, "txn", "-", "--json").stdout)["results"]
    assert [step["path"] for step in steps[:2]] == ["/steps", "/steps/a"]
    assert steps[2]["path"].startswith("/steps/n-0")
    assert steps[3] == {"path": "/steps/a", "version": 0, "removed": 1}
