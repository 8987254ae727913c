"""The control file of the preloaded shim (shim/shim.cc): written here, read by a running server."""

from __future__ import annotations

import mmap
import pathlib
import struct
from typing import Dict

from support import paths

LAYOUT = "<dqqiiq"


class Shim:
    """One server's clock rate and disk. All is well until told otherwise."""

    def __init__(self, control: pathlib.Path, folder: pathlib.Path) -> None:
        self.environment: Dict[str, str] = {
            "LD_PRELOAD": str(paths.shim()),
            # Under the address sanitizer, which wants to be the first library: the shim is.
            "ASAN_OPTIONS": "verify_asan_link_order=0",
            "HOLDFAST_CHAOS_CONTROL": str(control),
            "HOLDFAST_CHAOS_FOLDER": str(folder),
        }
        self.clock_rate = 1.0
        control.write_bytes(bytes(struct.calcsize(LAYOUT)))
        with open(control, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), struct.calcsize(LAYOUT))
        self.heal()

    def heal(self) -> None:
        """A good disk; the clock keeps its rate."""
        self.set()

    def set(self, *, write_delay_us: int = 0, sync_delay_us: int = 0, write_errno: int = 0,
            sync_errno: int = 0, read_delay_us: int = 0) -> None:
        """Change how the disk behaves, from now on."""
        self._map[:] = struct.pack(LAYOUT, self.clock_rate, write_delay_us, sync_delay_us,
                                   write_errno, sync_errno, read_delay_us)

    def set_rate(self, rate: float) -> None:
        """Change the rate of the clock, with a good disk."""
        self.clock_rate = rate
        self.heal()
