"""docs/tour.ipynb runs from its first cell to its last, and prints what it says.

Renew what is stored: python -m jupyter execute --inplace docs/tour.ipynb
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs/tour.ipynb"
_TOLD_BY_TRAIN = re.compile(r"(data|note|model) {2,}| {7}")


def _own_kernel(folder: Path) -> AsyncKernelManager:
    """A kernel of the Python that runs this test, whichever others are installed."""
    manager = AsyncKernelManager(transport="ipc", connection_file=str(folder / "k.json"))
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        language="python",
    )
    return manager


def _printed(cell: nbformat.NotebookNode) -> list[str]:
    """The lines that a cell prints itself; tables of figures and pictures are no lines."""
    texts = [out["text"] for out in cell.get("outputs", ()) if out["output_type"] == "stream"]
    lines = [line.rstrip() for line in "".join(texts).splitlines()]
    return [line for line in lines if line and not _TOLD_BY_TRAIN.match(line)]


def test_the_tour_prints_what_is_stored_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    tour = nbformat.read(TOUR, nbformat.NO_CONVERT)
    stored = [_printed(cell) for cell in tour.cells]

    client = NotebookClient(tour, km=_own_kernel(tmp_path), timeout=120)
    client.execute(cwd=str(tmp_path), cleanup_kc=True)  # raises where a cell does

    assert [_printed(cell) for cell in tour.cells] == stored
    assert sum(map(bool, stored)) >= 9
    assert sum(cell.cell_type == "code" for cell in tour.cells) == 10
    assert TOUR.stat().st_size < 300_000
