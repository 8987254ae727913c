"""The administration service, for operators' programs."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from holdfast_api.admin.ttypes import (ChangeMembersRequest, ExpireSessionRequest,
                                       ListSessionsRequest, ListWatchesRequest,
                                       MemberProgress, MemberRole, MembersRequest, NewMember,
                                       RaftRole, RebuildStateRequest, SettingsRequest,
                                       StatusRequest, TransferLeadershipRequest)

from . import _arguments, _reads
from ._connection import DEFAULT_ADMIN_PORT
from ._router import Router
from .errors import BadArgument
from .events import WatchInfo
from .types import Member, SessionInfo, Setting, Status

PAGE_SIZE = 500


class Admin:
    """The administration port of a server; made by :meth:`holdfast.Client.admin`."""

    def __init__(self, addresses: Iterable[str], timeout: float) -> None:
        self._timeout = timeout
        self._router = Router(addresses, service="admin", discover=False,
                              default_port=DEFAULT_ADMIN_PORT)

    def _ask(self, method: str, request: Any, repeatable: bool = True) -> Any:
        return _reads.ask(self._router, method, request, self._timeout, repeatable=repeatable)

    def status(self) -> Status:
        """The server's view of itself and the cluster; answered without a leader too."""
        wire = self._ask("status", StatusRequest())
        return Status(
            wire.nodeId or 0, RaftRole._VALUES_TO_NAMES.get(wire.role, str(wire.role)),
            wire.term or 0, wire.leaderId or 0, wire.commitIndex or 0, wire.appliedIndex or 0,
            wire.stateDigest or "", wire.sessions or 0, wire.locks or 0, wire.waiters or 0,
            wire.version or "", tuple(wire.voters or ()),
            tuple(f"{a.name}: {a.message}" for a in wire.alarms or ()), _plain(wire))

    def members(self) -> Tuple[Member, ...]:
        """The members of the cluster, as this server knows them."""
        return tuple(
            Member(m.nodeId or 0, m.peerAddress or "", m.clientAddress or "", m.storeId or 0,
                   bool(m.voter), m.featureLevel or 0,
                   MemberRole._VALUES_TO_NAMES.get(m.role, str(m.role)),
                   m.progress == MemberProgress.CAUGHT_UP if m.progress else None)
            for m in self._ask("members", MembersRequest()).members or ())

    def change_members(self, *, add: Optional[Mapping[int, str]] = None, learners: bool = False,
                       promote: Sequence[int] = (), remove: Sequence[int] = (),
                       force: bool = False) -> bool:
        """Add servers (peer address by node id), promote learners and remove members, in one step.

        What is added becomes a voter as soon as it has caught up; with ``learners`` it never does.
        False: all of it was so already, so a call may be repeated. docs/operations.md says what
        ``force`` risks.
        """
        role = MemberRole.LEARNER if learners else MemberRole.JOINING
        added = [NewMember(nodeId=_arguments.whole("a key of add", node),
                           peerAddress=_arguments.text(f"add[{node!r}]", address), role=role)
                 for node, address in _arguments.mapping("add", add, "node id to address").items()]
        promoted, removed = (
            [_arguments.whole(f"each of {name}", node)
             for node in _arguments.many(name, given, "node ids")]
            for name, given in (("promote", promote), ("remove", remove)))
        result = self._ask("changeMembers", ChangeMembersRequest(
            added=added, promoted=promoted, removed=removed,
            force=_arguments.flag("force", force)), False)
        return bool(result.changed)

    def raise_level(self, level: int) -> int:
        """Put a feature level in force, the last step of an upgrade; returns the one in force.

        For good: no server that knows less can start or be added from then on. Refused if a member
        knows less. A level below the one in force changes nothing.
        """
        if _arguments.whole("level", level) < 1:
            raise BadArgument(f"level {level} is less than 1, the lowest there is")
        result = self._ask("changeMembers", ChangeMembersRequest(raiseLevel=level), False)
        return result.featureLevel or 0

    def rebuild(self, from_node: int = 0, *, force: bool = False) -> str:
        """Have this quarantined server get the state of ``from_node`` (0: of any that is not) in
        place of its own. Returns at once, with where its database is kept on that server.

        It closes its connections meanwhile; :meth:`status` no longer has the alarm QUARANTINED when
        it is done. ``force``: also one that is not quarantined, and is from then on; one that leads
        hands over first. If the server is started anew before it is done it has forgotten that it
        was asked, and stays quarantined: call again.
        """
        result = self._ask("rebuildState", RebuildStateRequest(
            fromNode=_arguments.whole("from_node", from_node),
            force=_arguments.flag("force", force)), False)
        return result.keptAs or ""

    def transfer_leadership(self, node_id: int = 0) -> int:
        """Hand leadership to ``node_id`` (0: whoever else is furthest). Returns who leads then.

        If ``node_id`` leads already nothing is done.
        """
        request = TransferLeadershipRequest(nodeId=_arguments.whole("node_id", node_id))
        result = self._ask("transferLeadership", request, False)
        return result.header.leaderId or 0

    def sessions(self) -> Iterator[SessionInfo]:
        """All sessions by id."""
        page = 0
        while True:
            result = self._ask("listSessions", ListSessionsRequest(page=page, pageSize=PAGE_SIZE))
            yield from (SessionInfo.of(s) for s in result.sessions or ())
            page = result.nextPage or 0
            if not page:
                return

    def watches(self) -> Iterator[WatchInfo]:
        """The watches that the server has, of whatever session, in no particular order.

        They are not replicated: ask each server. A session that polls another one by now keeps its
        watches until its end.
        """
        page = 0
        while True:
            result = self._ask("listWatches", ListWatchesRequest(page=page, pageSize=PAGE_SIZE))
            yield from (WatchInfo.of(w) for w in result.watches or ())
            page = result.nextPage or 0
            if not page:
                return

    def expire_session(self, session_id: int, *, notice: float = 10.0, reason: str = "",
                       force: bool = False) -> None:
        """End a session. Notice and force as in :meth:`holdfast.Client.revoke`."""
        self._ask("expireSession", ExpireSessionRequest(
            sessionId=_arguments.whole("session_id", session_id),
            noticeMs=round(_arguments.seconds("notice", notice, 0) * 1000),
            reason=_arguments.text("reason", reason), force=_arguments.flag("force", force)), False)

    def settings(self, changes: Optional[Mapping[str, int]] = None) -> Dict[str, Setting]:
        """The replicated limits by name, after ``changes`` took effect, all or none."""
        wanted = {_arguments.text("a key of changes", name): _arguments.whole(
            f"changes[{name!r}]", value)
            for name, value in _arguments.mapping("changes", changes, "name to int").items()}
        result = self._ask("settings", SettingsRequest(changes=wanted or None),
                           repeatable=not wanted)
        return {s.name: Setting(s.name, s.value or 0, s.smallest or 0, s.largest or 0,
                                s.initial or 0, s.help or "") for s in result.settings or ()}

    def close(self) -> None:
        """Close the connections."""
        self._router.close()

    def detach(self) -> None:
        """In a forked child."""
        self._router.detach()


def _plain(wire: Any) -> Any:
    """A wire struct as dictionaries and lists."""
    if isinstance(wire, (list, tuple)):
        return [_plain(item) for item in wire]
    if hasattr(wire, "thrift_spec"):
        return {name: _plain(value) for name, value in vars(wire).items()}
    return wire
