"""The faults, each a function that hurts the cluster and mends it again, and their schedule.

A fault is named in the schedule with the numbers it was dealt; which server leads when it comes is
not the schedule's to say. So a seed gives the same faults in the same order, not the same timing.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import random
import signal
import time
from typing import Callable, Dict, Iterator, List, Protocol, Tuple

from support.cluster import Node

from chaos.arena import EXIT_DISK_FULL, EXIT_WRITE_FAILED, Arena

#: How long a fault lasts, in seconds.
LENGTH = (0.8, 2.5)
#: Calm between two faults, in seconds.
CALM = (0.3, 1.0)
#: Longer than the TTL of the clients that are stopped (client.py), so that their sessions expire.
ASLEEP_SECONDS = 4.0
RATE_CHANGE_MAX = 0.04
DISK_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Cut:
    """Which way, between a client and all servers or one of them, every byte is swallowed."""

    there: bool = True
    back: bool = True
    one_server: bool = False


class Herd(Protocol):
    """The client processes, as far as faults concern them."""

    def stop_one(self, dice: random.Random, seconds: float) -> None:
        """SIGSTOP a client made for it, for so long."""

    def cut_one(self, dice: random.Random, seconds: float, cut: Cut) -> None:
        """Cut the links of a client made for it, for so long."""

    def stop_watcher(self, seconds: float) -> None:
        """SIGSTOP a watcher made for it, for so long."""

    def kill_one(self, dice: random.Random) -> None:
        """kill -9 a client and start another in its place."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault of a schedule."""

    number: int
    kind: str
    seconds: float
    calm: float
    dice_seed: int

    def dice(self) -> random.Random:
        """The fault's own: what one fault draws moves no other."""
        return random.Random(self.dice_seed)


@dataclasses.dataclass
class Scene:
    """What a fault may touch. ``hurt`` is called once the harm is done."""

    arena: Arena
    herd: Herd
    hurt: Callable[[], None]

    def target(self, dice: random.Random) -> Node:
        """Any server."""
        return self.arena.nodes[dice.randrange(len(self.arena.nodes)) + 1]

    def follower(self, dice: random.Random) -> Node:
        """Any server but the leader."""
        leader = self.arena.leader()
        return dice.choice([n for n in self.arena.nodes.values() if n is not leader])


def _kill_leader(scene: Scene, fault: Fault) -> None:
    leader = scene.arena.leader()
    scene.arena.kill([leader])
    scene.hurt()
    time.sleep(fault.seconds)


def _kill_follower(scene: Scene, fault: Fault) -> None:
    follower = scene.follower(fault.dice())
    scene.arena.kill([follower])
    scene.hurt()
    time.sleep(fault.seconds)


def _kill_all(scene: Scene, fault: Fault) -> None:
    scene.arena.kill(scene.arena.nodes.values())
    scene.hurt()


def _freeze(scene: Scene, node: Node, fault: Fault) -> None:
    node.signal(signal.SIGSTOP)
    scene.hurt()
    time.sleep(fault.seconds)
    node.signal(signal.SIGCONT)


def _freeze_leader(scene: Scene, fault: Fault) -> None:
    _freeze(scene, scene.arena.leader(), fault)


def _freeze_follower(scene: Scene, fault: Fault) -> None:
    _freeze(scene, scene.follower(fault.dice()), fault)


def _freeze_client(scene: Scene, fault: Fault) -> None:
    scene.hurt()
    # One that is stopped just as it gives the lock back writes nothing when it wakes.
    for _ in range(2):
        scene.herd.stop_one(fault.dice(), ASLEEP_SECONDS)


def _freeze_watcher(scene: Scene, fault: Fault) -> None:
    del fault
    scene.hurt()
    scene.herd.stop_watcher(ASLEEP_SECONDS)


def _kill_client(scene: Scene, fault: Fault) -> None:
    scene.hurt()
    scene.herd.kill_one(fault.dice())


def _cut_client(cut: Cut) -> Callable[[Scene, Fault], None]:
    def play(scene: Scene, fault: Fault) -> None:
        scene.hurt()
        scene.herd.cut_one(fault.dice(), ASLEEP_SECONDS, cut)
    return play


def _terminate(scene: Scene, fault: Fault) -> None:
    node = scene.target(fault.dice())
    node.signal(signal.SIGTERM)
    scene.hurt()
    scene.arena.wait_end(node, 0, DISK_SECONDS)


def _between(some: List[int], others: List[int]) -> List[Tuple[int, int]]:
    return [pair for a, b in itertools.product(some, others) for pair in ((a, b), (b, a))]


def _cut(scene: Scene, fault: Fault, pairs: List[Tuple[int, int]]) -> None:
    scene.arena.cut(pairs)
    scene.hurt()
    time.sleep(fault.seconds)
    scene.arena.heal_links()


def _halves(scene: Scene, fault: Fault) -> None:
    ids = list(scene.arena.nodes)
    fault.dice().shuffle(ids)
    middle = len(ids) // 2
    _cut(scene, fault, _between(ids[:middle], ids[middle:]))


def _leader_alone(scene: Scene, fault: Fault) -> None:
    leader = scene.arena.leader().node_id
    _cut(scene, fault, _between([leader], [i for i in scene.arena.nodes if i != leader]))


def _bridge(scene: Scene, fault: Fault) -> None:
    """Two sides that meet only in one server."""
    ids = list(scene.arena.nodes)
    fault.dice().shuffle(ids)
    sides = ids[1:]
    middle = len(sides) // 2
    _cut(scene, fault, _between(sides[:middle], sides[middle:]))


def _deaf_leader(scene: Scene, fault: Fault) -> None:
    leader = scene.arena.leader().node_id
    _cut(scene, fault, [(i, leader) for i in scene.arena.nodes if i != leader])


def _mute_leader(scene: Scene, fault: Fault) -> None:
    leader = scene.arena.leader().node_id
    _cut(scene, fault, [(leader, i) for i in scene.arena.nodes if i != leader])


def _flapping(scene: Scene, fault: Fault) -> None:
    dice = fault.dice()
    scene.hurt()
    until = time.monotonic() + fault.seconds
    while time.monotonic() < until:
        scene.arena.cut([dice.choice(list(scene.arena.links))])
        time.sleep(dice.uniform(0.05, 0.3))
        scene.arena.heal_links()


def _slow_disk(scene: Scene, fault: Fault) -> None:
    dice = fault.dice()
    shim = scene.arena.shims[scene.arena.leader().node_id]
    shim.set(sync_delay_us=dice.randrange(20_000, 400_000), write_delay_us=dice.randrange(10_000))
    scene.hurt()
    time.sleep(fault.seconds)
    shim.heal()


def _failing_sync(scene: Scene, fault: Fault) -> None:
    node = scene.target(fault.dice())
    shim = scene.arena.shims[node.node_id]
    shim.set(sync_errno=errno.EIO)
    scene.hurt()
    scene.arena.wait_end(node, EXIT_WRITE_FAILED, DISK_SECONDS)
    shim.heal()


def _failing_write(scene: Scene, fault: Fault) -> None:
    node = scene.target(fault.dice())
    shim = scene.arena.shims[node.node_id]
    shim.set(write_errno=errno.EIO)
    scene.hurt()
    scene.arena.wait_end(node, EXIT_WRITE_FAILED, DISK_SECONDS)
    shim.heal()


def _full_disk(scene: Scene, fault: Fault) -> None:
    arena = scene.arena
    scene.hurt()
    with arena.full_disk():
        if arena.mounted:
            arena.wait_full(True, DISK_SECONDS)
            time.sleep(fault.seconds)
        else:
            arena.wait_end(arena.small, EXIT_DISK_FULL, DISK_SECONDS)
    if arena.mounted:
        arena.wait_full(False, DISK_SECONDS)


def _clock_rates(scene: Scene, fault: Fault) -> None:
    """Every server's clock gets a rate of its own, and keeps it."""
    dice = fault.dice()
    scene.hurt()
    for shim in scene.arena.shims.values():
        shim.set_rate(1 + dice.uniform(-RATE_CHANGE_MAX, RATE_CHANGE_MAX))


KINDS: Dict[str, Callable[[Scene, Fault], None]] = {
    "kill-leader": _kill_leader, "kill-follower": _kill_follower, "kill-all": _kill_all,
    "freeze-leader": _freeze_leader, "freeze-follower": _freeze_follower,
    "freeze-client": _freeze_client, "freeze-watcher": _freeze_watcher,
    "kill-client": _kill_client, "terminate": _terminate,
    "cut-client": _cut_client(Cut()), "deaf-client": _cut_client(Cut(there=False)),
    "mute-client": _cut_client(Cut(back=False)),
    "cut-one-link": _cut_client(Cut(one_server=True)),
    "halves": _halves, "leader-alone": _leader_alone, "bridge": _bridge,
    "deaf-leader": _deaf_leader, "mute-leader": _mute_leader, "flapping": _flapping,
    "slow-disk": _slow_disk, "failing-sync": _failing_sync, "failing-write": _failing_write,
    "full-disk": _full_disk, "clock-rates": _clock_rates,
}


def schedule(seed: int) -> Iterator[Fault]:
    """The faults of a seed, without end: all kinds in a shuffled order, then all again."""
    dice = random.Random(seed)
    number = 0
    while True:
        kinds = list(KINDS)
        dice.shuffle(kinds)
        for kind in kinds:
            number += 1
            yield Fault(number, kind, round(dice.uniform(*LENGTH), 3),
                        round(dice.uniform(*CALM), 3), dice.randrange(1 << 32))
