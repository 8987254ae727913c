"""Watchers: they write down every event they are told, and in the end what their mirrors show.

What one watcher wrote down is one stream over its whole life, from revision 0 on, however often it
goes on elsewhere.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, List

import holdfast

from chaos.key_records import text
from chaos.worker import Worker

#: Watchers that reach one server only outlive whatever happens to it.
TTL_SECONDS = 30.0
#: A watcher comes to the end of what was written within this time after the last fault.
END_SECONDS = 30.0
PLACE = "/"


def _entry(entry: Any) -> List[Any]:
    return [text(entry.value), entry.version, entry.create_revision, entry.modify_revision,
            entry.ephemeral_owner]


def _change(event: holdfast.Event) -> List[Any]:
    if event.hold is not None:
        return [event.kind.name, event.path, *_hold(event.hold), 0, event.reason]
    return [event.kind.name, event.path, text(event.value), event.version, event.create_revision,
            event.ephemeral_owner, event.reason]


def _hold(hold: holdfast.Hold) -> List[Any]:
    return [hold.holder_id, hold.token, hold.session_id]


def _state(entries: Any) -> Dict[str, List[Any]]:
    return {path: _entry(entry) for path, entry in entries.items()}


def note(worker: Worker, group: Any) -> None:
    """Write down what was told of one revision."""
    if group[0].kind is holdfast.EventKind.RESYNC:
        worker.recorder.event("resync", revision=group[0].revision,
                              state=_state(group[0].state.keys),
                              locks={path: sorted(map(_hold, holds))
                                     for path, holds in group[0].state.locks.items()})
        return
    worker.recorder.event("group", revision=group[0].revision,
                          changes=[_change(event) for event in group],
                          revisions=sorted({event.revision for event in group}))


def follow(worker: Worker, watch: holdfast.Watch, seconds: float) -> None:
    """Read for so long, or until the end."""
    until = time.monotonic() + seconds
    while not worker.over.is_set() and time.monotonic() < until:
        group = watch.group(timeout=0.1)
        if group:
            note(worker, group)


def finish(worker: Worker, client: holdfast.Client, session: holdfast.Session,
           watch: holdfast.Watch) -> None:
    """Read all that there is; then show what a mirror shows."""
    client.get(PLACE)
    newest = client.revision
    until = time.monotonic() + END_SECONDS
    while watch.revision < newest and time.monotonic() < until:
        group = watch.group(timeout=0.1)
        if group:
            note(worker, group)
    worker.recorder.event("watched", revision=watch.revision, newest=newest)
    with session.mirror(PLACE) as fresh:
        fresh.wait_for(newest, timeout=END_SECONDS)
        _show(worker, fresh)


def _show(worker: Worker, mirror: holdfast.Mirror) -> None:
    revision, entries = mirror.snapshot()
    worker.recorder.event("mirror", revision=revision, state=_state(entries))


def watch_all(worker: Worker) -> None:
    """One watch and one mirror, over one server or all, all the time."""
    with worker.client(discover=False) as client, \
            client.session(ttl=TTL_SECONDS, name=worker.name) as session, \
            session.mirror(PLACE) as mirror, \
            session.watch(PLACE, scope="subtree", space="both", values=True, since=0) as watch:
        while not worker.over.is_set():
            follow(worker, watch, 1.0)
        finish(worker, client, session, watch)
        mirror.wait_for(client.revision, timeout=END_SECONDS)
        _show(worker, mirror)


def watch_by_turns(worker: Worker) -> None:
    """One stream, read now on this server, now on that, each time from where it came to."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(worker.client(discover=False, servers=[server]))
                   for server in worker.servers]
        sessions = [stack.enter_context(client.session(ttl=TTL_SECONDS, name=worker.name))
                    for client in clients]
        position, turn = 0, 0
        while not worker.over.is_set():
            turn = (turn + worker.random.randrange(1, len(sessions))) % len(sessions)
            with contextlib.suppress(holdfast.Unavailable), \
                    sessions[turn].watch(PLACE, scope="subtree", space="both", values=True,
                                         since=position) as watch:
                follow(worker, watch, worker.random.uniform(0.2, 2))
                position = watch.revision
        with sessions[turn].watch(PLACE, scope="subtree", space="both", values=True,
                                  since=position) as watch:
            finish(worker, clients[turn], sessions[turn], watch)
