"""How much memory this process can still take."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_FACTS = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that the machine can hand out, and the process's control group lets it take.

    What the system keeps of files counts as available. None where the system does not tell.
    """
    found = [size for size in (_of_machine(), _of_group()) if size is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    with suppress(OSError):
        for line in _FACTS.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_group() -> int | None:
    """Linux's version 2; there is no limit where it says "max"."""
    with suppress(OSError, ValueError):
        limit = int((_GROUP / "memory.max").read_text())
        return limit - int((_GROUP / "memory.current").read_text())
    return None
