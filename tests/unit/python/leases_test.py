"""The arithmetic of deadlines, with time handed in."""

import pytest

from holdfast._leases import Holding, Leases
from holdfast.types import Notice


def holding(holder_id=100, path="/a"):
    return Holding((path,), holder_id, holder_id)


def notice(holder_id=100, seconds=2.0, notice_id=7):
    return Notice(notice_id, "/a", holder_id, seconds, "maintenance")


def test_a_lease_counts_from_when_the_renewal_was_sent():
    leases = Leases()
    leases.renewed(sent=10.0, lease=3.96, notices=[], now=11.5)
    held = holding()
    leases.add(held)
    assert held.deadline == pytest.approx(13.96)
    assert leases.due(13.95) == []
    assert leases.due(13.96) == [held]


def test_a_reply_that_renews_nothing_moves_no_deadline():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    held = holding()
    leases.add(held)
    leases.renewed(12.0, 0.0, [], 12.1)
    assert held.deadline == 14.0
    assert leases.deadline == 14.0


def test_an_older_renewal_answered_late_takes_nothing_back():
    leases = Leases()
    leases.renewed(12.0, 4.0, [], 12.1)
    leases.renewed(10.0, 4.0, [], 12.2)
    assert leases.deadline == 16.0


def test_a_renewal_with_a_notice_does_not_extend_the_holder_it_names():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    named, other = holding(100), holding(200)
    leases.add(named)
    leases.add(other)
    assert leases.renewed(12.0, 4.0, [notice(100, 60.0)], 12.1) == [notice(100, 60.0)]
    assert named.deadline == 14.0
    assert other.deadline == 16.0


def test_a_notice_ends_the_holder_its_time_after_it_arrived():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    held = holding()
    leases.add(held)
    leases.renewed(11.0, 10.0, [notice(seconds=2.0)], 11.5)
    assert held.deadline == pytest.approx(11.5 + 2.0)


def test_a_repeated_notice_counts_from_its_first_arrival():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    held = holding()
    leases.add(held)
    leases.renewed(11.0, 10.0, [notice(seconds=2.0)], 11.0)
    assert leases.renewed(12.0, 10.0, [notice(seconds=2.0)], 12.0) == []
    assert held.deadline == pytest.approx(13.0)


def test_a_second_notice_gives_back_nothing_that_the_first_took():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    held = holding()
    leases.add(held)
    leases.renewed(11.0, 10.0, [notice(seconds=1.0, notice_id=7)], 11.0)
    leases.renewed(11.5, 10.0, [notice(seconds=60.0, notice_id=8)], 11.5)
    assert held.deadline == pytest.approx(12.0)


def test_a_grant_read_after_its_notice_starts_under_the_notice():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    leases.renewed(12.0, 4.0, [notice(100, 60.0)], 12.1)
    late = holding(100)
    leases.add(late)
    assert late.deadline == 14.0  # the last deadline from a reply without the notice
    leases.renewed(13.0, 4.0, [notice(100, 60.0)], 13.1)
    assert late.deadline == 14.0


def test_a_notice_without_a_path_names_every_holder_of_the_session():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    first, later = holding(100), holding(200, "/b")
    leases.add(first)
    leases.renewed(11.0, 10.0, [Notice(7, "", 0, 2.0, "drain")], 11.0)
    leases.add(later)
    leases.renewed(12.0, 10.0, [Notice(7, "", 0, 2.0, "drain")], 12.0)
    assert [first.deadline, later.deadline] == pytest.approx([13.0, 13.0])
    assert leases.notice_for(200).reason == "drain"


def test_a_renewal_that_tells_of_the_notice_no_longer_gives_nothing_back():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    early, late = holding(100), holding(100)
    leases.add(early)
    leases.renewed(11.0, 10.0, [notice(seconds=2.0)], 11.0)
    leases.add(late)
    leases.renewed(12.0, 10.0, [], 12.0)
    assert [early.deadline, late.deadline] == pytest.approx([13.0, 13.0])


def test_of_two_announcements_the_earlier_end_counts():
    leases = Leases()
    leases.renewed(10.0, 10.0, [], 10.1)
    held = holding(100)
    leases.add(held)
    leases.renewed(11.0, 10.0, [Notice(7, "", 0, 5.0, "drain"), notice(100, 2.0, 8)], 11.0)
    assert held.deadline == pytest.approx(13.0)


def test_an_unrenewed_reply_without_notices_lifts_no_notice():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    leases.renewed(12.0, 4.0, [notice(100, 60.0)], 12.1)
    leases.renewed(12.5, 0.0, [], 12.6)
    late = holding(100)
    leases.add(late)
    assert late.deadline == 14.0


def test_a_handle_granted_after_the_lease_had_passed_works_under_the_new_lease():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    leases.renewed(20.0, 4.0, [], 20.1)
    late = holding()
    leases.add(late)
    assert late.deadline == 24.0


def test_a_loss_that_arrives_before_its_grant_is_remembered():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    assert leases.lost(100, "/a", "REVOKED") == []
    late = holding(100)
    assert leases.add(late) == "REVOKED"
    assert late not in leases.holdings


def test_a_loss_names_the_holder_and_one_of_its_paths():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    both = Holding(("/a", "/b"), 100, 100)
    other = holding(200)
    leases.add(both)
    leases.add(other)
    assert leases.lost(100, "/b", "REVOKED") == [both]
    assert leases.lost(100, "/c", "REVOKED") == []


def test_the_loss_of_an_earlier_tenure_leaves_the_lock_that_is_held_now():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    held = holding(200)
    assert leases.add(held) is None
    assert leases.lost(100, "/a", "REVOKED") == []
    assert leases.lost(200, "/a", "REVOKED") == [held]


def test_the_next_deadline_is_the_earliest():
    leases = Leases()
    assert leases.next_deadline() is None
    leases.renewed(10.0, 4.0, [], 10.1)
    leases.add(holding(100))
    leases.add(holding(200))
    leases.renewed(11.0, 4.0, [notice(200, 0.5)], 11.0)
    assert leases.next_deadline() == pytest.approx(11.5)


def test_the_notices_of_the_last_reply_are_acknowledged():
    leases = Leases()
    leases.renewed(10.0, 4.0, [notice(100, 1, 9), notice(200, 1, 8)], 10.1)
    assert leases.notice_ids() == [8, 9]
    leases.renewed(11.0, 4.0, [], 11.1)
    assert leases.notice_ids() == []


def test_a_grant_read_after_its_notice_has_gone_is_lost():
    leases = Leases()
    leases.renewed(10.0, 4.0, [notice(100, 0.0)], 10.1)
    leases.renewed(11.0, 4.0, [], 11.1)
    late, next_one = holding(100), holding(200)
    assert "maintenance" in (leases.add(late) or "")
    assert leases.add(next_one) is None


def test_two_notices_against_a_holder_of_several_locks_are_told_once_each():
    leases = Leases()
    leases.renewed(10.0, 4.0, [], 10.1)
    both = Holding(("/a", "/b"), 100, 100)
    leases.add(both)
    told = [Notice(7, "/a", 100, 3.0, ""), Notice(8, "/b", 100, 2.0, "")]
    assert leases.renewed(11.0, 4.0, told, 11.1) == told
    assert leases.renewed(12.0, 4.0, told, 12.1) == []
    assert both.deadline == pytest.approx(13.1)
    assert leases.notice_for(100).notice_id == 8
