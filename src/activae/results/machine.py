"""The facts of a machine that its times depend on."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("activae", "torch", "torchvision", "pytorch-lightning", "keras", "tensorflow", "numpy")


def machine_facts() -> dict[str, Any]:
    """CPU, cores this process may use, load, and versions; None for what is not installed."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


@cache
def versions() -> dict[str, str | None]:
    """Of what a run's figures depend on."""
    packages = {"activae": "activae", "torch": "torch", "lightning": "pytorch-lightning"}
    found = {name: _version(package) for name, package in packages.items()}
    return {"python": platform.python_version(), **found}


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
