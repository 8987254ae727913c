"""Drives one raftlab process: a command at a time, with every node's status after each."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from outcome import Status

# No verb of raftlab: its error line shows that everything before it has been printed.
MARK = ".done"
SETTLE_ROUNDS_MAX = 200


class LabFailed(Exception):
    """raftlab broke a property, ended, or was told what no shorthand can do."""


class Lab:
    """Context manager; `commands` is everything that was sent, in order."""

    def __init__(self, program: Path) -> None:
        self.commands: List[str] = []
        self.status: Status = {}
        self._applied: Dict[int, List[str]] = {}
        self._process = subprocess.Popen([str(program)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, encoding="utf-8",
                                         errors="replace")

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def _ask(self, command: str) -> List[str]:
        assert self._process.stdin is not None and self._process.stdout is not None
        said: List[str] = []
        try:
            self._process.stdin.write(f"{command}\n{MARK}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LabFailed("raftlab has ended") from None
        for line in self._process.stdout:
            line = line.rstrip("\n")
            if line == f"error unknown {MARK}":
                return said
            if line.startswith("violation"):
                raise LabFailed(line)
            said.append(line)
        raise LabFailed(f"raftlab ended after '{command}'")

    def _send(self, command: str) -> List[str]:
        self.commands.append(command)
        said = self._ask(command)
        words = command.split()
        refused = bool(said) and said[0].startswith("error ")
        if words[0] == "apply" and not refused:
            self._applied.setdefault(int(words[1]), []).extend(said)
        if words[0] == "crash" and not refused:
            self._applied[int(words[1])] = []
        return said

    def _refresh(self) -> None:
        nodes = [json.loads(line) for line in self._ask("status") if line.startswith("{")]
        self.status = {node["id"]: {**node, "state": self._applied.get(node["id"], [])}
                       for node in nodes}

    def run(self, step: str) -> List[str]:
        """What the step printed itself; `status` is then as the step left it."""
        if not step.startswith("@"):
            said = self._send(step)
            self._refresh()
            return said
        shorthand, *words = step.split()
        if shorthand == "@elect" and words:
            return self._settle(words[1:], first=f"campaign {words[0]}")
        if shorthand == "@settle":
            return self._settle(words)
        if shorthand == "@lose" and len(words) == 1:
            return self._lose(words[0])
        raise LabFailed(f"{step}: {shorthand} takes other words")

    # Shorthands: commands that every story would repeat. Each refuses to hide an error.

    def _must(self, command: str) -> None:
        said = self._send(command)
        if said:
            raise LabFailed(f"'{command}' printed {said}")

    def _settle(self, words: List[str], first: Optional[str] = None) -> List[str]:
        """Persists and delivers among the nodes until nothing is in flight between them."""
        among = self._nodes(words)
        if first is not None:
            self._must(first)
        for _ in range(SETTLE_ROUNDS_MAX):
            for node in sorted(among):
                self._must(f"persist {node}")
            self._refresh()
            links = {(m["from"], m["to"]) for m in self._in_flight()
                     if m["from"] in among and m["to"] in among}
            if not links:
                return []
            for a, b in sorted(links):
                self._must(f"deliver {a} {b}")
        raise LabFailed("messages never settle")

    def _lose(self, name: str) -> List[str]:
        """Drops everything in flight to and from a node."""
        self._refresh()
        node = int(name)
        links = {(m["from"], m["to"]) for m in self._in_flight() if node in (m["from"], m["to"])}
        for a, b in sorted(links):
            self._must(f"drop {a} {b}")
        self._refresh()
        return []

    def _nodes(self, words: List[str]) -> Set[int]:
        """The nodes of a list, or all that are up."""
        if len(words) > 1 or (words and not re.match(r"^\d+(,\d+)*$", words[0])):
            raise LabFailed(f"'{' '.join(words)}' is no list of nodes")
        self._refresh()
        if words:
            return {int(name) for name in words[0].split(",")}
        return {node for node, at in self.status.items() if at["role"] != "down"}

    def _in_flight(self) -> List[Dict[str, Any]]:
        return [m for at in self.status.values() for m in at["messages"]]
