"""One chaos run: servers, clients, faults one after the other, then the judgement."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from support.cluster import Node
from support.stock import Stock
from support.waiting import eventually

from chaos import judge, watch_judge
from chaos.arena import Arena
from chaos.faults import KINDS, Fault, Scene, schedule
from chaos.herd import Herd
from chaos.key_kinds import ACCOUNTS, FOLDERS, MONEY
from chaos.key_records import text
from chaos.lock_kinds import DELAY_SECONDS
from chaos.recorder import Recorder, now
from chaos.watch_judge import State

#: Every live client gets a command through within this time after the last fault.
CALM_SECONDS = 30.0
#: Before the first fault, so that every client has begun.
WARM_SECONDS = 2.0
#: Clients that hold a lock are cut from all servers for longer than their TTL.
LONG_CUTS = ("cut-client", "deaf-client", "mute-client")


@dataclasses.dataclass
class Suffered:
    """A fault that was played."""

    fault: Fault
    hurt: int
    mended: int
    recovered: int

    def line(self, start: int) -> str:
        """For the fault log."""
        at = (self.hurt - start) / judge.NS
        return (f"{at:8.2f} s  #{self.fault.number} {self.fault.kind} for {self.fault.seconds} s, "
                f"all ready {(self.recovered - self.mended) / judge.NS:.2f} s after it")


class Failed(Exception):
    """A promise is broken, or the run could not be played to its end."""


class Run:
    """Plays and judges. ``folder`` gets the history, the logs and the fault log."""

    def __init__(self, folder: pathlib.Path, seed: int, size: int, minutes: float,
                 may_mount: bool) -> None:
        self._folder = folder
        self._seed = seed
        self._minutes = minutes
        self._size = size
        self._may_mount = may_mount
        self.suffered: List[Suffered] = []
        self.notes: List[str] = []
        self._start = 0

    def play(self) -> None:
        """Everything, from the first process to the last; raises Failed."""
        with self._world() as (arena, herd):
            try:
                self._start = now()
                herd.start()
                time.sleep(WARM_SECONDS)
                self._hurt_all(arena, herd)
                calm = now()
                self._calm(herd, calm)
                herd.end(herd.live)
                final = self._look_at_all(arena, herd)
                herd.end(herd.watchers)
                self._judge(herd, final)
            except AssertionError as error:
                raise Failed(str(error)) from error
            finally:
                arena.logs(self._folder)

    @contextlib.contextmanager
    def _world(self) -> Iterator[Tuple[Arena, Herd]]:
        with contextlib.ExitStack() as stack:
            arena = Arena(self._size, self._minutes, self._may_mount)
            stack.callback(arena.stop)
            for node in arena.nodes.values():
                arena.start(node)
            arena.wait_ready()
            self._make_keys(arena)
            herd = Herd(self._folder, self._seed, arena.seeds)
            stack.callback(herd.destroy)
            yield arena, herd

    def _hurt_all(self, arena: Arena, herd: Herd) -> None:
        until = time.monotonic() + self._minutes * 60
        for fault in schedule(self._seed):
            if time.monotonic() > until:
                return
            self._hurt(arena, herd, fault)
            herd.check()
            time.sleep(fault.calm)

    def _hurt(self, arena: Arena, herd: Herd, fault: Fault) -> None:
        began: List[int] = []
        try:
            KINDS[fault.kind](Scene(arena, herd, lambda: began.append(now())), fault)
            mended = now()
            arena.revive()
        except AssertionError as error:
            raise Failed(f"fault #{fault.number} {fault.kind} for {fault.seconds} s: "
                         f"{error}") from error
        self.suffered.append(Suffered(fault, began[0] if began else mended, mended, now()))
        with open(self._folder / "faults.log", "a", encoding="utf-8") as log:
            log.write(self.suffered[-1].line(self._start) + "\n")

    def _calm(self, herd: Herd, since: int) -> None:
        """All is mended: every client works on."""
        written = {file: file.stat().st_size for file in herd.files()}

        def stuck() -> Optional[str]:
            commands = judge.applied_commands(judge.Records.read(herd.files(), written).calls)
            return judge.idle(commands, since, herd.live)

        eventually(lambda: stuck() is None, within=CALM_SECONDS, every=0.5,
                   what=f"work of {', '.join(herd.live)} after the last fault")

    def _make_keys(self, arena: Arena) -> None:
        """What clients of keys expect to find."""
        recorder = Recorder(self._folder / "begin.jsonl", "begin")
        values = {**dict.fromkeys(FOLDERS, b""), "/accounts": b"",
                  **dict.fromkeys(ACCOUNTS, str(MONEY // len(ACCOUNTS)).encode())}
        with Stock(arena.leader().address) as stock:
            for path, value in values.items():
                self._ask(recorder, stock, "put", k.PutRequest(path=path, value=value))

    def _look_at_all(self, arena: Arena, herd: Herd) -> State:
        """The end state, from every server, goes into the history; and it is one. The keys."""
        recorder = Recorder(self._folder / "end.jsonl", "end")
        asked = [call["arguments"] for call in judge.Records.read(herd.files()).calls
                 if call["call"] in ("acquire", "acquireAll")]
        paths = {lock["path"] for each in asked for lock in each.get("locks", [each])}
        for node in arena.nodes.values():
            with Stock(node.address) as stock:
                for path in sorted(paths):
                    self._ask(recorder, stock, "describeLock", t.DescribeLockRequest(path=path))
        eventually(lambda: not self._left(arena), within=CALM_SECONDS, every=0.5,
                   what="all locks free, and on no server anybody present or a key that ends by "
                        "itself, once all clients ended")
        eventually(arena.digests, within=CALM_SECONDS, what="one state digest on all servers")
        shown = [self._keys(recorder, node, consistency) for node in arena.nodes.values()
                 for consistency in (None, t.Consistency.LOCAL)]
        if any(keys != shown[0] for keys in shown):
            raise Failed(f"in the end the servers show different keys: {shown}")
        return shown[0]

    def _keys(self, recorder: Recorder, node: Node, consistency: Optional[int]) -> State:
        """All keys of a server, as mirrors show them."""
        request = k.ListKeysRequest(path="/", subtree=True, withValues=True, pageSize=1000,
                                    consistency=consistency)
        with Stock(node.address) as stock:
            listed = self._ask(recorder, stock, "listKeys", request)
        if listed.nextPage:
            raise Failed(f"there are more keys than {request.pageSize}: the end state is a part")
        return {key.path: [text(key.value), key.stat.version, key.stat.createRevision,
                           key.stat.modifyRevision, key.stat.ephemeralOwner or 0]
                for key in listed.keys}

    @staticmethod
    def _left(arena: Arena) -> List[str]:
        """Locks that are still held, and keys that should have gone."""
        left: List[str] = []
        for node in arena.nodes.values():
            with Stock(node.address) as stock:
                listed = stock.listLocks(consistency=t.Consistency.LOCAL)
                left += [lock.path for lock in listed.locks]
                for folder in ("/presence", "/passing"):
                    present = stock.listKeys(path=folder, consistency=t.Consistency.LOCAL)
                    left += [key.path for key in present.keys]
        return left

    @staticmethod
    def _ask(recorder: Recorder, stock: Stock, method: str, request: Any) -> Any:
        context = t.RequestContext()
        return recorder.call(method, context, request,
                             lambda: stock.call(method, context, **vars(request)))

    # ---------------------------------------------------------------------------- judgement

    def _judge(self, herd: Herd, final: State) -> None:
        records = judge.Records.read(herd.files())
        history = self._folder / "history.jsonl"
        records.write_history(history)
        sures = judge.sure_intervals(records.events)
        stale, refused = judge.fenced(records.events)
        broken, verdict = judge.linearizable(history)
        twice = judge.overlap(sures) if sures else "no client was ever sure of a lock"
        early = judge.opened_early(sures, records.events, DELAY_SECONDS)
        late, lost = judge.lost_in_time(records.events)
        missed, told = watch_judge.judge(records.events, records.calls, final, list(herd.watchers))
        wrong_sum, looked = watch_judge.sums(records.calls, ACCOUNTS, MONEY)
        for fault in (broken, twice, stale, early, late, missed, wrong_sum,
                      judge.expired(records.events)):
            if fault:
                raise Failed(fault)
        froze = sum(s.fault.kind == "freeze-client" for s in self.suffered)
        if froze and not refused:
            raise Failed("clients were stopped past their time, and none of their writes was "
                         "refused by the store")
        cuts = sum(s.fault.kind in LONG_CUTS for s in self.suffered)
        if cuts >= 3 and not lost:
            raise Failed(f"clients were cut off {cuts} times, and none of them lost a lock")
        commands = judge.applied_commands(records.calls)
        self.notes = [f"history {verdict}",
                      f"{len(sures)} times a client was sure of a lock, never two at once; "
                      f"{refused} writes of {froze} stopped clients refused; {lost} locks ended "
                      f"under their holders, who knew in time",
                      f"{told}; accounts were read {looked} times",
                      judge.table(self._times(commands))]

    def _times(self, commands: List[judge.Applied]) -> Dict[str, List[Tuple[float, float]]]:
        times: Dict[str, List[Tuple[float, float]]] = {}
        for each in self.suffered:
            takeover = judge.took_over(commands, each.hurt)
            recovery = (each.recovered - each.mended) / judge.NS
            if takeover is not None:
                times.setdefault(each.fault.kind, []).append((takeover, recovery))
        return times
