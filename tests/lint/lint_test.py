"""Each check finds what it is there to find: a bad sample a rule, in a tree of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import banned  # noqa: E402
import docs  # noqa: E402
import idl  # noqa: E402
import includes  # noqa: E402
import sizes  # noqa: E402
import tidy  # noqa: E402
import tools  # noqa: E402
import words  # noqa: E402
from tree import bare_code  # noqa: E402

TABLE = """
hf_room(base LINK PkgConfig::xxhash)
hf_room(base/net LINK base PkgConfig::libevent)
hf_room(raft/core LINK base)
hf_room(session LINK base)
hf_idl()
hf_room(clients/cpp LINK thrift)
hf_room(server LINK base raft/core session thrift)
hf_program(holdfastd server_main.cc LINK server)
"""


@pytest.fixture
def tree(tmp_path):
    """Writes a file of a small tree that keeps every rule until a test breaks one."""
    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return tmp_path
    write("CMakeLists.txt", TABLE)
    for header in ("base/error.h", "base/clock.h", "raft/core/core.h", "session/table.h",
                   "base/net/loop.h", "server/server.h"):
        write(header, "#pragma once\n")
    return write


def texts(problems):
    return " | ".join(str(p) for p in problems)


@pytest.mark.parametrize("path, line", [
    ("server/a.cc", '#include "session/table.h"'),
    ("server/a.cc", '#include "server/server.h"'),
    ("server/a.cc", '#include "gen/cpp/holdfast_types.h"'),
    ("server/a.cc", "#include <thrift/TBase.h>"),
    ("server/a.cc", "#include <thread>"),
    ("base/net/a.cc", "#include <event2/event.h>"),
    ("raft/core/a.cc", '// #include "session/table.h"'),
    ("server_main.cc", '#include "server/server.h"'),
])
def test_an_include_on_the_link_line_passes(tree, path, line):
    assert includes.check(tree(path, line + "\n")) == []


@pytest.mark.parametrize("path, line, why", [
    ("session/a.cc", '#include "raft/core/core.h"', "session does not link"),
    ("base/a.cc", '#include "session/table.h"', "base does not link"),
    ("server/a.cc", '#include "base/net/loop.h"', "base/net, which server does not link"),
    ("server/a.cc", "#include <event2/event.h>", "PkgConfig::libevent"),
    ("session/a.cc", '#include "gen/cpp/holdfast_types.h"', "needs thrift"),
    ("clients/cpp/a.cc", '#include "gen/cpp/command_types.h"', "between servers only"),
    ("session/a.cc", "#include <thread>", "no place in a pure room"),
    ("session/a.cc", '#include "base/clock.h"', "no place in a pure room"),
    ("server/a.cc", '#include "server.h"', "no path from the root"),
    ("server_main.cc", '#include "session/table.h"', "holdfastd does not link"),
    ("attic/a.cc", "", "belongs to no room"),
])
def test_any_other_include_fails(tree, path, line, why):
    assert why in texts(includes.check(tree(path, line + "\n")))


def test_a_room_that_stands_on_itself_fails(tree):
    root = tree("CMakeLists.txt", "hf_room(base LINK session)\nhf_room(session LINK base)\n")
    assert "stands on itself" in texts(includes.check(root))


@pytest.mark.parametrize("code", [
    "auto t = std::chrono::steady_clock::now();", "auto t = time(nullptr);",
    "int n = rand();", "std::random_device d;", "std::this_thread::sleep_for(x);", "usleep(5);",
    "std::thread t(f);", "int fd = ::open(p, 0);", "fdatasync(fd);", "int s = socket(a, b, c);",
    "std::ofstream out(p);", "return open(p);", "if (a > time(0)) f();", "a && rand();",
])
def test_a_call_past_a_port_fails(tree, code):
    assert "only through its port" in texts(banned.check(tree("server/a.cc", code + "\n")))


@pytest.mark.parametrize("code", [
    "file->open(p);", "clock.time();", "Log::open(p);", "// calls rand() never", 'say("sleep(1)");',
    "void Log::open() {} void Log::f() { open(); }",
    "int brand(int x);", "my_open(p);", "Clock& clock() const;", "Result<int> open(int x);",
])
def test_a_call_that_only_looks_alike_passes(tree, code):
    assert banned.check(tree("server/a.cc", code + "\n")) == []


def test_only_the_file_that_implements_a_port_is_excused(tree):
    assert banned.check(tree("base/clock.cc", "clock_gettime(id, &t);\n")) == []
    assert banned.check(tree("base/other.cc", "clock_gettime(id, &t);\n")) != []


def test_walking_a_hash_table_fails_in_a_pure_room_only(tree):
    code = "std::unordered_map<int, int> rows_;\nvoid f() { for (auto& r : rows_) g(r); }\n"
    assert "hash table" in texts(banned.check(tree("session/a.cc", code)))
    (tree("server/a.cc", code) / "session/a.cc").unlink()
    assert banned.check(tree("server/a.cc", code)) == []


def body(lines):
    return "".join(f"  g({n});\n" for n in range(lines - 2))


@pytest.mark.parametrize("head", [
    "void f() {\n", "int Table::find(Key k) const noexcept {\n", "Table::Table(int a) : a_{a} {\n",
    "class T {\n  bool operator==(const T& o) const {\n", "TEST(Table, Finds) {\n",
])
def test_a_function_of_71_lines_fails_and_one_of_70_passes(tree, head):
    close = "}\n};\n" if head.startswith("class") else "}\n"
    long = sizes.check(tree("base/a.cc", head + body(71) + close))
    assert "has 71 lines" in texts(long) and len(long) == 1
    assert sizes.check(tree("base/a.cc", head + body(70) + close)) == []


def test_types_and_namespaces_are_no_functions(tree):
    code = "namespace a {\nstruct S {\n" + "  int f() { return 1; }\n" * 100 + "};\n}\n"
    assert sizes.check(tree("base/a.cc", code)) == []
    assert len(list(sizes.cpp_functions(code))) == 100


def test_long_python_and_shell_functions_fail(tree):
    assert "f has 72" in texts(sizes.check(tree("a.py", "def f():\n" + "    g()\n" * 71)))
    root = tree("tool", "#!/usr/bin/env bash\nf() {\n" + "  g\n" * 70 + "}\n")
    assert "f has 72" in texts(sizes.check(root))


def test_a_file_of_601_lines_and_a_wide_script_fail(tree):
    assert "601 lines" in texts(sizes.check(tree("base/a.cc", "int a;\n" * 601)))
    assert "101 columns" in texts(sizes.check(tree("a.py", "#" * 101 + "\n")))


@pytest.mark.parametrize("line, why", [
    ("<<<<<<< HEAD", "conflict"), ("// TO" "DO: later", "unfinished"),
    ("// FIX" "ME", "unfinished"),
    ("see /ro" "ot/x/y", "one machine"), ("see /ho" "me/ada/y", "one machine"),
    ("TEST(A, DIS" "ABLED_B) {}", "cannot fail"), ("GTEST_SK" "IP();", "cannot fail"),
])
def test_unwanted_words_fail(tree, line, why):
    assert why in texts(words.check(tree("base/a.cc", line + "\n")))


def test_the_place_of_the_tree_itself_fails(tree, tmp_path):
    assert "one machine" in texts(words.check(tree("a.md", f"run {tmp_path}/dev\n")))


GOOD_IDL = """
/** The kinds. */
enum Kind {
  /** Never sent. */
  UNSPECIFIED = 0
}
/** What went wrong. */
exception Failure {
  /** A sentence. */
  1: string message
}
/** The calls. */
service Api {
  /** Asks. */
  void ask(1: Kind kind) throws (1: Failure failure)
}
"""


def test_a_documented_idl_passes(tree):
    assert idl.check(tree("thrift/holdfast.thrift", GOOD_IDL)) == []


@pytest.mark.parametrize("old, new, why", [
    ("/** A sentence. */", "", "Failure.message has no doc comment"),
    ("/** Never sent. */", "", "Kind.UNSPECIFIED has no doc comment"),
    ("/** Asks. */", "", "Api.ask has no doc comment"),
    ("/** The kinds. */", "", "Kind has no doc comment"),
    ("UNSPECIFIED = 0", "FIRST = 1", "does not start at 0"),
    ("1: string message", "1: required string message", "is required"),
    ("1: string message", '1: string message = "x"', "has a default"),
    ("1: string message", "1: string uuid", "reserved word"),
    (" throws (1: Failure failure)", "", "cannot fail cleanly"),
    ("1: string message", "string message", "py:"),
])
def test_a_fault_in_the_idl_fails(tree, old, new, why):
    assert why in texts(idl.check(tree("thrift/holdfast.thrift", GOOD_IDL.replace(old, new))))


def test_unformatted_code_fails(tree):
    assert tools.check_format(tree("base/a.cc", "int a;\n")) == []
    assert tools.check_format(tree("base/a.cc", "int   a ;\n")) != []


def test_a_faulty_script_fails(tree):
    assert tools.check_shell(tree("dev", '#!/usr/bin/env bash\necho "$1"\n')) == []
    assert "SC2086" in texts(tools.check_shell(tree("dev", "#!/usr/bin/env bash\necho $1\n")))


def test_untyped_python_fails(tree):
    root = tree("deploy/demo/a.py", "def f(x):\n    return x\n")
    assert "untyped" in texts(tools.check_types(root)) or tools.check_types(root) != []
    root = tree("deploy/demo/a.py", "def f(x: int) -> int:\n    return x\n")
    assert tools.check_types(root) == []


def test_clang_tidy_finds_a_fault_and_remembers_only_what_passed(tree, tmp_path):
    root = tree("base/a.cc", "int* f() { return 0; }\n")
    (root / "build").mkdir()
    (root / ".clang-tidy").write_text("Checks: '-*,modernize-use-nullptr'\nWarningsAsErrors: '*'\n")
    (root / "build/compile_commands.json").write_text(
        f'[{{"directory": "{root}", "file": "{root}/base/a.cc", "command": "c++ -c base/a.cc"}}]')
    for _ in range(2):
        assert "use nullptr" in texts(tidy.check(root, everything=True, limit_s=60))
    tree("base/a.cc", "int* f() { return nullptr; }\n")
    assert tidy.check(root, everything=True, limit_s=60) == []
    assert len(list((root / "build/lint").iterdir())) == 1


def test_clang_tidy_looks_at_what_changed_lately(tree):
    root = tree("base/a.cc", "int a;\n")

    def git(*words, date="2026-01-09T12:00:00Z"):
        subprocess.run(["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t",
                        *words], check=True, capture_output=True,
                       env={**os.environ, "GIT_COMMITTER_DATE": date})
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "one", date="2026-01-01T12:00:00Z")
    assert "base/a.cc" in tidy.changed(root)
    tree("base/b.cc", "int b;\n")
    git("add", ".")
    git("commit", "-m", "two")
    assert tidy.changed(root) == {"base/b.cc"}
    git("switch", "-c", "topic")
    git("commit", "--allow-empty", "-m", "three")
    tree("base/c.cc", "int c;\n")
    assert tidy.changed(root) == {"base/c.cc"}


def test_blanking_keeps_lines_and_spares_code():
    code = 'int a; // "x"\nauto s = R"(a\nb)"; int b = 1\'000; char c = \'"\';\nint d;'
    bare = bare_code(code)
    assert bare.count("\n") == code.count("\n")
    assert "int b = 1'000;" in bare and "int d;" in bare and '"' not in bare


@pytest.mark.parametrize("text, found", [
    ("see [that](gone.md)", "'gone.md' is not there"),
    ("`Suite.NoSuchCase` shows it", "no test or mutant 'Suite.NoSuchCase'"),
    ("`a_test.py::test_gone` shows it", "no test or mutant 'a_test.py::test_gone'"),
    ("mutants `raft-a`, `raft-gone`", "no test or mutant 'raft-gone'"),
])
def test_docs_name_what_is_not_there(tree, text, found):
    tree("tests/mutants/raft-a.patch", "")
    assert found in texts(docs.check(tree("docs/historic-bugs.md", text)))


def test_docs_may_name_what_is_there(tree):
    tree("tests/unit/a_test.cc", "TEST(Suite, Case) {}\n")
    tree("tests/unit/a_test.py", "def test_it():\n    pass\n")
    tree("tests/mutants/raft-a.patch", "")
    text = ("`Suite.Case`, `a_test.py::test_it`, mutant `raft-a`, [here](historic-bugs.md#x), "
            "[out](https://example.org/x.md)\n\n```\n[](int x) { }\n```\n")
    assert docs.check(tree("docs/historic-bugs.md", text)) == []
