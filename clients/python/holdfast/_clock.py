"""The clock of leases and deadlines: boot time, which runs on while the machine is suspended."""

import time


def boot() -> float:
    """Seconds on CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
