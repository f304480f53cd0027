"""Single-cell data: blood cells, files in AnnData's format, and how they become numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.preparation import Preparation, Unprepared
from activae.data.sources.files import encoded, existing_file, shortened
from activae.errors import ConfigError, DataError

# The set's values have three decimals, by which the largest count (259) may be off by this.
_OFF = 0.25


# The logarithm to base 2 of a million: of all that is usual, nothing is larger.
LARGEST_LOGARITHM = 20.0
TARGET_TOTAL = 1e4  # counts a cell: counts per ten thousand, scanpy's and Seurat's custom
OTHER_LAYER = "name a layer of counts (data.source.layer=NAME, without log_normalised)"
ADVICE = "pip install 'activae[bio]'"


def pbmc(n_top_genes: int | None = None, counts: bool = False) -> Unprepared:
    """700 blood cells with counts of 765 genes, bundled with scanpy; labels are 10 cell types.

    `scanpy.datasets.pbmc68k_reduced` (Zheng et al. 2017, Massively parallel digital transcriptional
    profiling of single cells): genes chosen for their variability from 68,000 cells, of which these
    are a part. It holds log-normalised values with three decimals; the counts are recovered by
    inverting that with each cell's total, and come out whole. Totals are then those of the 765
    genes.

    Args:
        n_top_genes: only so many of the genes, those that vary most in the training cells.
        counts: counts instead of log-normalised values.

    Raises:
        ConfigError: scanpy is not installed, or a setting is invalid.
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
        counts: counts instead of log-normalised values.
        log_normalised: the values are log-normalised already, and taken as they are.

    Raises:
        ConfigError: a layer or column that the file does not have, or anndata is not installed.
        DataError: the file cannot be read.
    """
    preparation = partial(
        Expression, n_top_genes=n_top_genes, counts=counts, log_normalised=log_normalised
    )
    preparation()
    file = existing_file(path, (".h5ad",))
    cells = read_h5ad(file)
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
        train=Cells(in_rows(values), [str(gene) for gene in cells.var_names]),
        preparation=preparation,
        train_labels=labels,
        class_names=names,
    )


def read_h5ad(file: Path) -> Any:
    """The AnnData in a file, names of genes made unique. Raises ConfigError without anndata,
    DataError where it cannot be read.
    """
    try:
        import anndata
    except ImportError as error:
        raise ConfigError(f"data=h5ad needs anndata: {ADVICE}") from error
    with warnings.catch_warnings():  # they are made unique below
        warnings.filterwarnings("ignore", message=".* names are not unique", category=UserWarning)
        try:
            cells = anndata.read_h5ad(file)
        except Exception as error:  # whatever h5py and anndata raise on a damaged file
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


def in_rows(values: Any) -> Any:
    """A dense array, or a sparse matrix of which rows can be picked."""
    return np.asarray(values) if isinstance(values, np.ndarray) else values.tocsr()


@dataclass(frozen=True, eq=False)
class Cells:
    """Expression values [N, genes], a dense or a sparse (CSR) matrix, and the genes' names."""

    values: Any
    genes: list[str]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __getitem__(self, places: Any) -> Cells:
        return Cells(self.values[places], self.genes)


class Expression(Preparation):
    """Cells to `ln(1 + 10^4 count / total)` of the genes that vary most, or to their counts.

    A cell's total is that of all the genes the data have, as of `scanpy.pp.normalize_total`. Which
    genes vary most is told from the training cells alone: by `scanpy.pp.highly_variable_genes`
    (flavour seurat: Satija et al. 2015, Spatial reconstruction of single-cell gene expression
    data), on log-normalised values.

    Args:
        n_top_genes: how many of the most variable genes; None: all, in the order of the file.
        counts: give counts, for a loss that is a likelihood of them.
        log_normalised: the values that come in are log-normalised already.

    Raises:
        ConfigError: a setting is invalid.
    """

    kind = "expression"

    def __init__(self, *, n_top_genes: int | None, counts: bool, log_normalised: bool) -> None:
        if n_top_genes is not None and n_top_genes < 1:
            raise ConfigError(
                f"data.source.n_top_genes={n_top_genes}: give how many genes, 1 or more, or null."
            )
        if counts and log_normalised:
            raise ConfigError(
                "data.source.counts=true: there are none with data.source.log_normalised=true; "
                "leave one of the two out."
            )
        self.n_top_genes = n_top_genes
        self.counts = counts
        self.log_normalised = log_normalised
        self.genes: list[str] = []  # of all that training cells had; totals are over these
        self.kept: list[str] = []

    @property
    def features(self) -> list[str]:
        """The genes' names."""
        return self.kept

    def fit(self, rows: Cells) -> None:
        """Choose the genes. DataError where the values are not what they are said to be."""
        self._check(rows)
        self.genes = list(rows.genes)
        self.kept = self.genes
        if self.n_top_genes is not None and self.n_top_genes < len(self.genes):
            varies = _most_variable(self._logarithms(rows.values), self.n_top_genes)
            self.kept = [gene for gene, kept in zip(self.genes, varies, strict=True) if kept]

    def transform(self, rows: Cells) -> Tensor:
        """Samples [N, genes kept] of cells, whose genes may come in any order.

        Raises DataError where genes are missing, or values are not what they are said to be.
        """
        self._check(rows)
        places = {gene: place for place, gene in enumerate(rows.genes)}
        missing = [gene for gene in self.genes if gene not in places]
        if missing:
            raise DataError(
                f"these cells lack {len(missing)} of the {len(self.genes)} genes that were trained "
                f"with: {shortened(missing)}."
            )
        values = rows.values
        if rows.genes != self.genes:
            values = values[:, [places[gene] for gene in self.genes]]
        if not self.counts:
            values = self._logarithms(values)
        order = {gene: place for place, gene in enumerate(self.genes)}
        return torch.from_numpy(_dense(values[:, [order[gene] for gene in self.kept]]))

    def totals(self, rows: Cells) -> NDArray[np.float64]:
        """What `transform` divides each cell [N] by: the counts of all genes, or 1 where none are.

        1 also where values come as they are.
        """
        if self.counts or self.log_normalised:
            return np.ones(len(rows))
        genes = set(self.genes)
        known = [place for place, gene in enumerate(rows.genes) if gene in genes]
        totals = np.asarray(rows.values[:, known].sum(1), dtype=np.float64).reshape(-1)
        return np.where(totals == 0, 1.0, totals)

    def inverse_transform(self, samples: Tensor, totals: NDArray[np.float64]) -> Tensor:
        """Values [N, genes kept] in the units that came in, of cells with these totals [N]."""
        if self.counts or self.log_normalised:
            return samples
        factors = torch.from_numpy(totals / TARGET_TOTAL)[:, None]
        return (samples.double().expm1() * factors).to(samples.dtype)

    def state(self) -> dict[str, Any]:
        """Settings and the names of the genes: all that totals are taken of, and those kept."""
        return {
            "n_top_genes": self.n_top_genes,
            "counts": self.counts,
            "log_normalised": self.log_normalised,
            "genes": self.genes,
            "kept": self.kept,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The preparation that `state` was taken from."""
        self = cls(**{k: state[k] for k in ("n_top_genes", "counts", "log_normalised")})
        self.genes, self.kept = list(state["genes"]), list(state["kept"])
        return self

    def _check(self, rows: Cells) -> None:
        """Counts are whole numbers; what is log-normalised is not, nor negative, nor large."""
        entries = _entries(rows.values)
        if not np.isfinite(entries).all():
            gene, count = _first_not_finite(rows)
            raise DataError(
                f"gene {gene}: {count} of its expression values are not finite (NaN or infinite); "
                "remove the gene or those cells, or write 0 where nothing was measured."
            )
        are_counts = bool((entries >= 0).all() and (entries == np.round(entries)).all())
        if not self.log_normalised and not are_counts:
            raise DataError(
                "the expression values are no counts (whole numbers of 0 or more): name the layer "
                "that holds them, data.source.layer=counts, or set "
                "data.source.log_normalised=true if these are log-normalised."
            )
        if self.log_normalised and are_counts:
            raise DataError(
                "data.source.log_normalised=true: the expression values are whole numbers, so they "
                "are counts; leave it out."
            )
        if self.log_normalised and entries.size:
            _check_logarithms(float(entries.min()), float(entries.max()))

    def _logarithms(self, values: Any) -> Any:
        """ln(1 + 10^4 value / total) of counts, float32; log-normalised values as they are."""
        if self.log_normalised:
            return values.astype(np.float32)
        totals = np.asarray(values.sum(1), dtype=np.float64).reshape(-1, 1)
        factors = TARGET_TOTAL / np.where(totals == 0, 1.0, totals)
        if isinstance(values, np.ndarray):
            return np.log1p(values * factors).astype(np.float32)
        return values.multiply(factors).tocsr().log1p().astype(np.float32)


def _check_logarithms(least: float, most: float) -> None:
    """Raise DataError where ln(1 + normalised count) cannot be what these values are."""
    if least < 0:
        raise DataError(
            "data.source.log_normalised=true: log-normalised values are 0 or more, and these go "
            f"down to {least:.3g}: they seem scaled (scanpy.pp.scale). Save the file before "
            f"scaling, or {OTHER_LAYER}."
        )
    if most > LARGEST_LOGARITHM:
        raise DataError(
            f"data.source.log_normalised=true: values of up to {most:.6g} are no logarithms of "
            f"normalised counts. Take them (scanpy.pp.log1p), or {OTHER_LAYER}."
        )


def _first_not_finite(rows: Cells) -> tuple[str, int]:
    """The first gene with values that are not finite, and how many it has."""
    values = rows.values
    for place, gene in enumerate(rows.genes):
        column = values[:, place]
        count = int((~np.isfinite(_entries(column))).sum())
        if count:
            return gene, count
    raise AssertionError("all values are finite")


def _most_variable(logarithms: Any, number: int) -> NDArray[np.bool_]:
    """Whether each gene is among those that vary most: so many, of equal ones the first."""
    try:
        import anndata
        import scanpy
    except ImportError as error:
        raise ConfigError(
            f"data.source.n_top_genes={number}: choosing genes needs scanpy: {ADVICE}; or set "
            "data.source.n_top_genes=null to keep all"
        ) from error
    found = scanpy.pp.highly_variable_genes(
        anndata.AnnData(logarithms), flavor="seurat", inplace=False
    )
    # Scanpy's choice of so many keeps all that equal the last one, another number for each split.
    dispersion = np.nan_to_num(found["dispersions_norm"].to_numpy(np.float64), nan=-np.inf)
    varies = np.zeros(len(dispersion), dtype=np.bool_)
    varies[np.argsort(-dispersion, kind="stable")[:number]] = True
    return varies


def _entries(values: Any) -> NDArray[Any]:
    """The entries of a dense matrix, or those that a sparse one holds."""
    return values if isinstance(values, np.ndarray) else values.data


def _dense(values: Any) -> NDArray[np.float32]:
    full = values if isinstance(values, np.ndarray) else values.toarray()
    return np.ascontiguousarray(full, dtype=np.float32)
