"""Single-cell data: scanpy's bundled blood cells, and files in AnnData's format."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from activae.data.preparation import Unprepared
from activae.data.sources.expression import ADVICE, TARGET_TOTAL, Cells, Expression
from activae.data.sources.files import existing_file
from activae.data.sources.label_codes import encoded
from activae.data.sources.text_table import shortened
from activae.errors import ConfigError, DataError

# The set's values have three decimals, by which the largest count (259) may be off by this.
_OFF = 0.25


def pbmc(n_top_genes: int | None = None, counts: bool = False) -> Unprepared:
    """700 blood cells with counts of 765 genes, bundled with scanpy; labels are 10 cell types.

    `scanpy.datasets.pbmc68k_reduced` (Zheng et al. 2017, Massively parallel digital transcriptional
    profiling of single cells): genes chosen for their variability from 68,000 cells, of which these
    are a part. It holds log-normalised values with three decimals; the counts are recovered by
    inverting that with each cell's total, and come out whole. Totals are then those of the 765
    genes.

    Args:
        n_top_genes: only so many of the genes, those that vary most in the training cells.
        counts: counts in the place of log-normalised values.

    Raises:
        ConfigError: scanpy is not there, or a setting of no sense.
    """
    preparation = partial(Expression, n_top_genes=n_top_genes, counts=counts, log_normalised=False)
    preparation()
    try:
        import scanpy
    except ImportError as error:
        raise ConfigError(f"data=pbmc needs scanpy: {ADVICE}") from error
    cells = scanpy.datasets.pbmc68k_reduced()
    totals = cells.obs["n_counts"].to_numpy(dtype=np.float64)[:, None]
    raw = np.expm1(cells.raw.X.toarray().astype(np.float64)) * totals / TARGET_TOTAL
    assert np.abs(raw - raw.round()).max() < _OFF, "scanpy's set is another than it was"
    labels, names = encoded([str(kind) for kind in cells.obs["bulk_labels"]])
    return Unprepared(
        name="pbmc",
        train=Cells(raw.round(), [str(gene) for gene in cells.raw.var_names]),
        preparation=preparation,
        train_labels=labels,
        class_names=names,
    )


def h5ad(
    path: str | Path,
    layer: str | None = None,
    label_column: str | None = None,
    n_top_genes: int | None = 2000,
    counts: bool = False,
    log_normalised: bool = False,
) -> Unprepared:
    """Cells from an `.h5ad` file (AnnData's format): one cell a row, one gene a column.

    Args:
        path: the file.
        layer: which of the file's layers holds the counts; None: X.
        label_column: column of `obs` with labels, such as cell types.
        n_top_genes: so many of the genes, those that vary most in the training cells; None: all.
        counts: counts in the place of log-normalised values.
        log_normalised: the values are log-normalised already, and taken as they are.

    Raises:
        ConfigError: a layer or column that the file does not have, or anndata is not there.
        DataError: the file cannot be read.
    """
    preparation = partial(
        Expression, n_top_genes=n_top_genes, counts=counts, log_normalised=log_normalised
    )
    preparation()
    file = existing_file(path, (".h5ad",))
    cells = _read(file)
    if layer is not None and layer not in cells.layers:
        raise ConfigError(
            f"data.source.layer={layer}: {file} has "
            f"{shortened(list(cells.layers)) or 'no layers but X, which is null'}."
        )
    values = cells.X if layer is None else cells.layers[layer]
    if values is None:
        raise DataError(f"{file} has no X: name a layer with data.source.layer=NAME.")
    labels, names = encoded(_labels(file, cells, label_column))
    return Unprepared(
        name=str(file),
        train=Cells(_in_rows(values), [str(gene) for gene in cells.var_names]),
        preparation=preparation,
        train_labels=labels,
        class_names=names,
    )


def _read(file: Path) -> Any:
    try:
        import anndata
    except ImportError as error:
        raise ConfigError(f"data=h5ad needs anndata: {ADVICE}") from error
    with warnings.catch_warnings():  # they are made unique below
        warnings.filterwarnings("ignore", message=".* names are not unique", category=UserWarning)
        try:
            cells = anndata.read_h5ad(file)
        except Exception as error:  # whatever h5py and anndata come upon in a damaged file
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"{file} cannot be read as AnnData ({type(error).__name__}: {reason}); write it "
                "with AnnData.write_h5ad."
            ) from error
        cells.var_names_make_unique()
    return cells


def _labels(file: Path, cells: Any, column: str | None) -> list[str] | None:
    if column is None:
        return None
    if column not in cells.obs:
        raise ConfigError(
            f"data.source.label_column={column}: obs of {file} has "
            f"{shortened(list(map(str, cells.obs.columns))) or 'no columns'}."
        )
    return [str(label) for label in cells.obs[column]]


def _in_rows(values: Any) -> Any:
    """A dense array, or a sparse matrix of which rows can be picked."""
    return np.asarray(values) if isinstance(values, np.ndarray) else values.tocsr()
