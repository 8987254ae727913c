"""Which results the client says it has; what is an address."""

import random
import re

import pytest
from holdfast_api.holdfast import ttypes as t

import holdfast
from holdfast._address import format_address, parse_address
from holdfast._sequences import RANGES_MAX, Sequences


def test_sequences_count_from_one():
    sequences = Sequences()
    assert [sequences.take(), sequences.take()] == [1, 2]


def test_finished_sequences_join_into_one_range():
    sequences = Sequences()
    for number in [3, 1, 2, 5, 4, 4]:
        sequences.finish(number)
    assert sequences.acknowledged() == [(1, 5)]


def test_an_unfinished_sequence_is_skipped():
    sequences = Sequences()
    for number in [1, 2, 4, 5]:
        sequences.finish(number)
    assert sequences.acknowledged() == [(1, 2), (4, 5)]


def test_any_order_gives_the_same_ranges():
    numbers = [n for n in range(1, 400) if n % 7]
    expected = None
    for seed in range(5):
        random.Random(seed).shuffle(numbers)
        sequences = Sequences()
        for number in numbers:
            sequences.finish(number)
        ranges = sequences._done
        assert expected is None or ranges == expected
        expected = ranges
        assert all(a[1] + 1 < b[0] for a, b in zip(ranges, ranges[1:]))


def test_many_ranges_are_cut_to_the_first_and_the_latest():
    sequences = Sequences()
    for number in range(1, 1001, 2):
        sequences.finish(number)
    sequences.finish(501)
    told = sequences.acknowledged()
    assert len(told) <= RANGES_MAX
    assert told[0] == (1, 1)
    assert (501, 501) in told
    assert told[-1] == (999, 999)


def test_every_result_is_told_of_in_the_end_however_many_gaps_there_are():
    sequences = Sequences()
    finished = set(range(1, 1001, 2))  # the others wait for their locks
    for number in finished:
        sequences.finish(number)
    told = set()
    for _ in range(20):
        told.update(first for first, _ in sequences.acknowledged())
    assert told == finished


@pytest.mark.parametrize("text, expected", [
    ("host:7411", ("host", 7411)), ("host", ("host", 7411)), ("[::1]:80", ("::1", 80)),
    ("[::1]", ("::1", 7411)), ("::1", ("::1", 7411)), (" 10.0.0.1:9 ", ("10.0.0.1", 9)),
])
def test_an_address_is_host_and_port(text, expected):
    assert parse_address(text, 7411) == expected
    assert parse_address(format_address(*expected), 1) == expected


BAD = ["host:", "host:0", "host:65536", "host:x", "host:-1", "host:+80", "host:7411 7412",
       "host:\u0661", "host:\u00b2", "host:" + "9" * 5000, ":7411", "", " ", "host:7411:7411",
       "http://host:7411", "http://host", "a b:7411", "a,b", "[host]:7411", "[::1", "::1]", "[]:80",
       "[::1]7411", "[::1]:", "::1:x", "1::2::3", "h" * 256 + ":1", "user@host"]


@pytest.mark.parametrize("text", BAD)
def test_a_bad_address_is_named(text):
    with pytest.raises(ValueError, match="is not host:port") as raised:
        parse_address(text, 7411)
    assert repr(text)[1:-1][:200] in str(raised.value)


@pytest.mark.parametrize("servers, named", [
    ("host:7411,", "''"), (",host:7411", "''"), (["host:7411", ""], "''"), ([" "], "' '"),
    ("a:1,b:x,c:3", "'b:x'"), (["a:1,b:2"], "'a:1,b:2'"), ("", "''"), (["[::1]:0"], "'[::1]:0'")])
def test_each_address_is_judged_when_a_client_is_made(monkeypatch, servers, named):
    with pytest.raises(ValueError, match=f"^address {re.escape(named)} is not host:port"):
        holdfast.Client(servers)
    monkeypatch.setenv("HOLDFAST_SERVERS", "host:7411,,")
    with pytest.raises(ValueError, match="^address '' is not host:port, it is empty"):
        holdfast.Client()
    with pytest.raises(ValueError, match="at least one server"):
        holdfast.Client([])


def test_an_address_for_the_administration_is_judged_as_well(client):
    with pytest.raises(ValueError, match="^address 'host:x' is not host:port"):
        client.admin("host:x")


def test_what_a_server_says_where_others_are_is_no_address_until_it_looks_like_one(client):
    client._router.learn_servers([t.ServerAddress(7, "there:x"), t.ServerAddress(8, "there:1")])
    client._router.learn_header(t.ResponseHeader(leaderAddress="http://there"))
    assert "there:1" in client.servers
    assert not {"there:x", "http://there"} & set(client.servers)
