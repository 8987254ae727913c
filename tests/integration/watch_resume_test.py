"""A watch goes on without gap or duplicate whatever happens to its server (promise 10): by the
Python client and by the C++ client, side by side, while keys are written."""

import contextlib
import signal
import time

import pytest
from support.command import run
from support.proxy import Proxy
from support.waiting import eventually
from support.watching import CommandReplay, Replay, Writer, polled_by, shown, state, watching

import holdfast

#: The sessions' TTLs: that of `holdfast watch` is fixed.
FACADE_TTL, COMMAND_TTL = 6, 30


class Scene:
    """A writer, and two who follow it: each known to agree with the state at the end."""

    def __init__(self, own, writes, reads):
        self.own = own
        self.writes = writes
        self.writing = writes.session(ttl=20, name="writer")
        began = self.writing.put("/w").revision
        self.command = CommandReplay(own.seeds, "/w", began)
        self.command.entries["/w"] = (b"", 1, began, began)
        self.command_at, self.command_session = eventually(self.only_watch)
        self.session = reads.session(ttl=FACADE_TTL, name="reader")
        self.facade = Replay(self.session.watch("/w", scope="subtree", values=True, since=began))
        self.facade.entries["/w"] = reads.get("/w")
        self.writer = Writer(self.writing, "/w", seed=11)
        self.writer.some_more(30)

    def only_watch(self):
        """The server that has it, and its session; nothing while there is none."""
        return next(((node, session) for node in self.own.nodes.values()
                     for session in watching(self.writes, node, "/w")), None)

    def watched_besides(self, gone):
        """Both watch at servers other than that, one or two."""
        others = (node for node in self.own.nodes.values() if node is not gone)
        found = set().union(*(watching(self.writes, node, "/w") for node in others))
        return found >= {self.command_session, self.session.id}

    def servers(self):
        """Those that the two poll, each once."""
        return {node.node_id: node
                for node in (self.command_at, self.facade_place())}.values()

    def facade_place(self):
        """Where the Python client polls."""
        return polled_by(self.own, self.session)

    def check(self):
        """The end: nothing was missed, nothing came twice, and nobody had to be shown the state."""
        self.writer.some_more(30)
        last = self.writer.stop()
        eventually(lambda: self.facade.told(last), within=30)
        truth = state(self.writes, "/w")
        eventually(lambda: self.command.agrees(truth), within=40)
        self.facade.stop()
        self.command.stop()
        assert shown(self.facade.entries) == truth
        assert self.facade.resyncs == 0
        told = [(e.path, e.revision) for e in self.facade.events]
        assert told == [(path, revision) for _, path, revision in self.command.events]
        assert len(told) > 60


@pytest.fixture
def scene(own):
    """On three servers."""
    with holdfast.Client(own.seeds) as writes, holdfast.Client(own.seeds) as reads:
        with closing_scene(Scene(own, writes, reads)) as made:
            yield made


@contextlib.contextmanager
def closing_scene(scene):
    """A test that fails leaves no thread and no process behind."""
    try:
        yield scene
    finally:
        scene.writer.over.set()
        scene.command.process.kill()
        scene.facade.watch.close()


def end(node, number):
    """Send a signal that ends the server, and wait for that."""
    node.signal(number)
    node.process.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_its_server_ends_and_comes_back(scene, number):
    for node in scene.servers():
        end(node, number)
        scene.writer.some_more(30)
        scene.own.start(node)
        scene.own.wait_ready([node])
        scene.writer.some_more(10)
    scene.check()


def test_all_servers_are_killed_at_once(scene):
    scene.own.kill_all()
    scene.own.start_all()
    scene.check()


def test_its_server_is_frozen_for_longer_than_half_the_ttl(scene):
    node = scene.command_at
    scene.own.wait_ready()
    freeze(scene, node, COMMAND_TTL / 2 + 1)
    freeze(scene, polled_by(scene.own, scene.session), FACADE_TTL / 2 + 1)
    scene.check()


def freeze(scene, node, seconds):
    """Stop the server's process for so long, while writes go on."""
    node.signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        node.signal(signal.SIGCONT)
    scene.writer.some_more(20)


def test_leadership_moves_from_server_to_server(scene):
    for _ in range(3):
        old = scene.own.leader()
        target = next(n for n in scene.own.nodes.values() if n is not old)
        with holdfast.Client(scene.own.seeds) as client:
            client.admin(old.admin_address).transfer_leadership(target.node_id)
        scene.writer.some_more(20)
    scene.check()


def test_its_server_gets_another_state_in_the_same_process(scene):
    for node in scene.servers():
        process = node.process.pid
        rebuilt = run(None, "rebuild", "--force", "--admin", node.admin_address, timeout=60)
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert node.process.pid == process
        scene.own.wait_ready()
        scene.writer.some_more(20)
    scene.check()


def test_its_server_is_removed_for_good(scene):
    gone = list(scene.servers())[0]
    removed = run(scene.own, "member", "remove", str(gone.node_id))
    assert removed.returncode == 0, removed.stderr
    eventually(lambda: scene.watched_besides(gone), within=30)
    eventually(lambda: scene.facade_place() != gone, within=30)
    scene.writer.some_more(20)
    gone.kill()
    scene.check()


def place(scene):
    """Where the session polls."""
    return scene.session._core.watches._place[0]


def test_the_client_moves_though_nothing_happened_to_its_server(own):
    proxies = [Proxy(address) for address in own.seeds]
    with holdfast.Client(own.seeds) as writes, contextlib.ExitStack() as after:
        for proxy in proxies:
            after.callback(proxy.close)
        reads = after.enter_context(
            holdfast.Client([p.address for p in proxies], discover=False))
        scene = after.enter_context(closing_scene(Scene(own, writes, reads)))
        visited = set()
        for _ in range(4):
            address = place(scene)
            visited.add(address)
            proxy = next(p for p in proxies if p.address == address)
            proxy.refuse()
            eventually(lambda: place(scene) != address, within=20)  # noqa: B023
            scene.writer.some_more(15)
            proxy.admit()
        assert len(visited) > 1
        scene.check()
