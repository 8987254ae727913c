"""raftlab as a program: its input as it comes, its exit codes, its output after every command."""

import os
import random
import subprocess

RAFTLAB = os.environ["RAFTLAB"]


def raftlab(text: bytes, *arguments: str):
    done = subprocess.run([RAFTLAB, *arguments], input=text, capture_output=True, check=False,
                          timeout=60)
    return done.returncode, done.stdout


def test_the_end_of_the_input_is_a_good_end():
    assert raftlab(b"") == (0, b"")
    one_node = b"nodes 1\ncampaign 1\npersist 1\npropose 1 a\npersist 1\n"
    assert raftlab(one_node + b"apply 1") == (0, b"a\n")


def test_arguments_are_refused():
    assert raftlab(b"nodes 1\n", "--help") == (2, b"")


def test_lines_may_end_as_on_other_systems():
    assert raftlab(b"nodes 1\r\ncampaign 2\r\n") == (0, b"error campaign: there is no node 2\n")


def test_an_endless_line_is_one_error():
    code, said = raftlab(b"nodes 1\n" + b"tick " * 1_000_000 + b"\ncampaign 9\n")
    assert code == 0
    assert said == (b"error tick: the line is longer than 1048576 bytes\n"
                    b"error campaign: there is no node 9\n")


def test_bytes_of_any_kind_end_in_error_lines():
    draw = random.Random(5)
    text = b"nodes 1,2,3\n" + bytes(draw.randrange(256) for _ in range(200_000))
    code, said = raftlab(text + b"\nstatus\n")
    lines = said.split(b"\n")
    assert code == 0 and said.count(b'{"id":') == 3
    assert all(line.startswith(b"error ") for line in lines[:-4])


def test_output_comes_after_each_command():
    with subprocess.Popen([RAFTLAB], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"error unknown " + word + b"\n"
        process.stdin.close()
        assert process.wait(timeout=10) == 0
