"""Those who write keys at random, those who follow by watches alone, and what must agree."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading

import holdfast
from holdfast import EventKind

from support.paths import program
from support.waiting import eventually


def state(client, path):
    """All keys at a path, as a mirror has them."""
    found = [client.get(path), *client.list(path, subtree=True, values=True)]
    return {k.path: (k.value, k.version, k.create_revision, k.modify_revision)
            for k in found if k is not None}


def shown(entries):
    """What a mirror or a resync shows, likewise."""
    return {path: (e.value, e.version, e.create_revision, e.modify_revision)
            for path, e in entries.items()}


class Replay:
    """A view that is kept by events alone, and that checks their order."""

    def __init__(self, watch):
        self.watch = watch
        self.entries = {}
        self.events = []
        self.resyncs = 0
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            for event in self.watch:
                self._take(event)
        except Exception as error:
            self.error = error

    def _take(self, event):
        if self.events:
            before = self.events[-1]
            assert event.revision >= before.revision
            assert (event.revision > before.revision) == before.last
        if event.kind is EventKind.RESYNC:
            self.resyncs += 1
            self.entries = dict(event.state.keys)
        elif event.kind is EventKind.DELETED:
            del self.entries[event.path]  # what was not told before cannot be deleted
        else:
            known = self.entries.get(event.path)
            assert event.version == (known.version + 1 if known else 1), event
            self.entries[event.path] = event.entry
        self.events.append(event)

    def told(self, revision):
        """Everything up to a revision was taken up."""
        assert self.error is None, self.error
        return self.watch.revision >= revision

    def stop(self):
        """The end."""
        self.watch.close()
        self.thread.join(10)
        assert self.error is None, self.error


class Writer:
    """Writes at random below a path, through a session, until it is told to stop."""

    def __init__(self, session, path, seed):
        self.session, self.path = session, path
        self.dice = random.Random(seed)
        self.writes = 0
        self.over = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.is_set():
                self._write()
                self.writes += 1
        except Exception as error:
            self.error = error

    def _write(self):
        path = f"{self.path}/{self.dice.randrange(30)}"
        kind = self.dice.randrange(4)
        try:
            if kind == 0:
                self.session.delete(path)
            elif kind == 1:
                with self.session.transact() as tx:
                    for number in range(4):
                        tx.put(f"{path}-{number}", str(self.writes))
            else:
                self.session.put(path, str(self.writes))
        except holdfast.NoKey:
            pass

    def some_more(self, count):
        """Wait until that many more are known to be done."""
        goal = self.writes + count
        eventually(lambda: self.writes >= goal or self.error, within=40)
        assert self.error is None, self.error

    def stop(self):
        """The end; the last revision that it saw."""
        self.over.set()
        self.thread.join(30)
        assert self.error is None and not self.thread.is_alive(), self.error
        return self.session.revision


def polled_by(own, session):
    """The server that a session polls."""
    address = session._core.watches._place[0]
    return next(n for n in own.nodes.values() if n.address == address)


class CommandReplay:
    """The same by `holdfast watch`, which stands on the C++ client."""

    def __init__(self, servers, path, since):
        self.entries = {}
        self.events = []
        self.resyncs = 0
        self.revision = since
        self.error = None
        self.process = subprocess.Popen(
            [str(program("holdfast")), "watch", path, "--scope", "subtree", "--values", "--since",
             str(since), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, HOLDFAST_SERVERS=",".join(servers)))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            for line in self.process.stdout:
                self._take(json.loads(line))
        except Exception as error:
            self.error = error

    def _take(self, line):
        kind, path = line["type"], line["path"]
        if kind == "began":
            return
        assert line["revision"] >= self.revision, line
        self.revision = line["revision"]
        self.events.append((kind, path, self.revision))
        if kind == "removed":
            del self.entries[path]  # what was not told before cannot be deleted
            return
        known = self.entries.get(path)
        assert kind == ("changed" if known else "created"), line
        assert line["version"] == (known[1] + 1 if known else 1), line
        self.entries[path] = (line["value"].encode(), line["version"], line["create_revision"],
                              line["modify_revision"])

    def agrees(self, truth):
        """Nothing went wrong so far, and the view is that of the state."""
        assert self.error is None, self.error
        return self.entries == truth

    def stop(self):
        """The end."""
        self.process.kill()
        self.thread.join(10)
        self.process.wait()
        assert self.error is None, self.error


def watching(client, node, path):
    """The sessions that watch exactly that path at a server: also those that have moved on."""
    return {w.session_id for w in client.admin(node.admin_address).watches() if w.path == path}
