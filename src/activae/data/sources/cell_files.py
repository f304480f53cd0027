"""Cells in an .h5ad file, of which only the rows that are asked for come into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.data.sources.cells import Cells, in_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CellsOnDisk:
    """Expression values [N, genes] in an open file; a slice of them is `Cells` in memory."""

    values: Any
    genes: list[str]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __getitem__(self, rows: slice) -> Cells:
        return Cells(in_rows(self.values[rows]), self.genes)


def cells_on_disk(file: Path, layer: str | None) -> tuple[CellsOnDisk, pd.DataFrame] | None:
    """The values of X or of a layer of an .h5ad file, and its table of cells (`obs`).

    None where rows cannot be read singly: sparse values that are kept by column, a file of an old
    format, a damaged one, or one without such values.
    """
    try:
        import anndata
        import h5py
    except ImportError:
        return None
    try:
        opened = h5py.File(file, "r")
        values = opened["X"] if layer is None else opened["layers"][layer]
        if isinstance(values, h5py.Group):
            if values.attrs["encoding-type"] != "csr_matrix":
                return None
            values = anndata.io.sparse_dataset(values)
        obs, var = (anndata.io.read_elem(opened[name]) for name in ("obs", "var"))
    except Exception:  # whatever h5py and anndata raise: `read_h5ad` says what is wrong
        return None
    names = anndata.utils.make_index_unique(var.index.astype(str))
    return CellsOnDisk(values, list(map(str, names))), obs
