"""Single-cell data: scanpy's bundled set and files, log-normalised, the most variable genes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scanpy
import torch
from scipy.sparse import csc_matrix, csr_matrix

from activae.data import h5ad, pbmc
from activae.data.sources.cells import Cells, Expression
from activae.errors import ConfigError, DataError

GENES = [f"gene{number}" for number in range(30)]


def some_counts(cells: int = 40, seed: int = 0) -> np.ndarray:
    """Counts of genes of which the last ten vary from cell to cell."""
    numbers = np.random.default_rng(seed)
    rates = np.ones((cells, len(GENES)))
    rates[:, 20:] = 6 * numbers.integers(0, 2, (cells, 10))
    return numbers.poisson(rates).astype(np.float32)


def write(folder: Path, values: Any, **parts: Any) -> Path:
    cells = anndata.AnnData(values, **parts)
    cells.var_names = GENES[: cells.n_vars]
    cells.write_h5ad(folder / "mine.h5ad")
    return folder / "mine.h5ad"


def log_normalised(counts: np.ndarray) -> Any:
    cells = anndata.AnnData(counts.copy())
    scanpy.pp.normalize_total(cells, target_sum=1e4)
    scanpy.pp.log1p(cells)
    return cells.X


@pytest.mark.parametrize("matrix", [np.asarray, csr_matrix, csc_matrix])
def test_values_are_log_normalised_as_by_scanpy(matrix: Any, tmp_path: Path) -> None:
    counts = some_counts()
    file = write(tmp_path, matrix(counts))

    source = h5ad(file, n_top_genes=None).prepared(torch.arange(40))

    np.testing.assert_allclose(source.train, log_normalised(counts), rtol=1e-5)
    assert source.preparation is not None
    assert source.preparation.features == GENES


def test_the_genes_kept_are_those_that_scanpy_finds_in_the_training_cells(tmp_path: Path) -> None:
    counts = some_counts()
    training = torch.arange(0, 40, 2)

    source = h5ad(write(tmp_path, counts), n_top_genes=10).prepared(training)

    cells = anndata.AnnData(log_normalised(counts)[training.numpy()])
    scanpy.pp.highly_variable_genes(cells, n_top_genes=10)
    varies = cells.var["highly_variable"].to_numpy()
    np.testing.assert_allclose(source.train, log_normalised(counts)[:, varies], rtol=1e-5)
    assert source.preparation is not None
    assert source.preparation.features == [g for g, v in zip(GENES, varies, strict=True) if v]


def test_counts_stay_counts(tmp_path: Path) -> None:
    counts = some_counts()

    source = h5ad(write(tmp_path, csr_matrix(counts)), n_top_genes=10, counts=True).prepared(
        torch.arange(40)
    )

    assert source.sample_shape == (10,)
    assert source.train.equal(source.train.round())
    assert set(source.train.flatten().tolist()) <= set(counts.ravel().tolist())


def test_layers_and_labels_are_chosen_by_name(tmp_path: Path) -> None:
    counts = some_counts()
    kinds = {"kind": ["T" if n % 3 else "B" for n in range(40)]}
    file = write(tmp_path, log_normalised(counts), layers={"raw": counts}, obs=kinds)

    from_layer = h5ad(file, layer="raw", label_column="kind", n_top_genes=None)
    as_it_is = h5ad(file, log_normalised=True, n_top_genes=None)

    assert from_layer.class_names == ("B", "T")
    one, other = (found.prepared(torch.arange(40)).train for found in (from_layer, as_it_is))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layer": "spliced"}, r"data\.source\.layer=spliced: .*no layers but X"),
        ({"label_column": "kind"}, r"data\.source\.label_column=kind: obs .*no columns"),
        ({"n_top_genes": 0}, r"data\.source\.n_top_genes=0"),
        ({"counts": True, "log_normalised": True}, r"data\.source\.counts=true"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        h5ad(write(tmp_path, some_counts()), **settings)


def test_values_that_are_not_what_they_are_said_to_be(tmp_path: Path) -> None:
    logarithms = h5ad(write(tmp_path, log_normalised(some_counts())))
    with pytest.raises(DataError, match=r"no counts.*data\.source\.layer=counts.*log_normalised="):
        logarithms.prepared(torch.arange(40))

    counts = h5ad(write(tmp_path, some_counts()), log_normalised=True)
    with pytest.raises(DataError, match=r"log_normalised=true: .*they are counts"):
        counts.prepared(torch.arange(40))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        h5ad(tmp_path / "none.h5ad")
    (tmp_path / "mine.h5ad").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"mine\.h5ad cannot be read as AnnData"):
        h5ad(tmp_path / "mine.h5ad")


def test_genes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    cells = anndata.AnnData(some_counts())
    cells.var_names = ["twin", "twin", *GENES[2:]]
    cells.write_h5ad(tmp_path / "mine.h5ad")

    source = h5ad(tmp_path / "mine.h5ad", n_top_genes=None).prepared(torch.arange(40))

    assert source.preparation is not None
    assert source.preparation.features[:2] == ["twin", "twin-1"]


def test_what_is_stored_takes_new_cells_with_their_genes_in_any_order() -> None:
    counts = some_counts()
    first = Expression(n_top_genes=10, counts=False, log_normalised=False)
    first.fit(Cells(csr_matrix(counts), GENES))

    again = Expression.from_state(first.state())

    expected = first.transform(Cells(counts, GENES))
    order = np.random.default_rng(1).permutation(30)
    shuffled = Cells(csr_matrix(counts[:, order]), [GENES[n] for n in order])
    torch.testing.assert_close(again.transform(shuffled), expected)
    assert again.state() == first.state()
    with pytest.raises(DataError, match=r"lack 1 of the 30 genes .*: gene29"):
        again.transform(Cells(counts[:, :29], GENES[:29]))


def test_a_cell_without_any_count_is_a_row_of_zeros() -> None:
    counts = some_counts()
    counts[3] = 0
    preparation = Expression(n_top_genes=None, counts=False, log_normalised=False)
    preparation.fit(Cells(counts, GENES))

    samples = preparation.transform(Cells(csr_matrix(counts), GENES))

    assert samples.isfinite().all()
    assert samples[3].eq(0).all()


def test_scanpys_blood_cells_come_with_whole_counts() -> None:
    source = pbmc(counts=True).prepared(torch.arange(500))

    assert source.train.shape == (700, 765)
    assert source.train.equal(source.train.round())
    assert source.train.min() == 0
    assert source.train.max() == 259
    assert source.class_names is not None
    assert len(source.class_names) == 10
    # scanpy's own values are ln(1 + 10^4 count / the cell's total over all of its genes).
    cells = scanpy.datasets.pbmc68k_reduced()
    totals = torch.from_numpy(cells.obs["n_counts"].to_numpy(dtype=np.float32))[:, None]
    again = (1e4 * source.train / totals).log1p()
    assert (again - torch.from_numpy(cells.raw.X.toarray())).abs().max() < 2e-3


def test_scanpys_blood_cells_are_log_normalised_by_default() -> None:
    counts = pbmc(counts=True).prepared(torch.arange(500)).train

    source = pbmc(n_top_genes=100).prepared(torch.arange(500))

    everything = (1e4 * counts / counts.sum(1, keepdim=True)).log1p()
    assert source.preparation is not None
    genes = pbmc().train.genes  # type: ignore[attr-defined]
    places = [genes.index(gene) for gene in source.preparation.features]
    torch.testing.assert_close(source.train, everything[:, places])
    assert len(places) == 100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x - x.mean(0), r"go down to -.*scanpy\.pp\.scale.*data\.source\.layer=NAME"),
        (lambda x: np.expm1(x), r"values of up to \d+.* are no logarithms.*scanpy\.pp\.log1p"),
        (lambda x: np.where(np.arange(30) == 7, np.nan, x), r"gene gene7: 40 .*not finite"),
    ],
    ids=["scaled", "not logarithms", "NaN"],
)
def test_values_that_are_no_logarithms_are_named(
    change: Callable[[Any], Any], said: str, tmp_path: Path
) -> None:
    file = write(tmp_path, change(log_normalised(some_counts())))
    with pytest.raises(DataError, match=said):
        h5ad(file, log_normalised=True, n_top_genes=10).prepared(torch.arange(40))


def test_of_genes_that_vary_alike_the_first_are_kept_and_no_more(tmp_path: Path) -> None:
    """Most genes are copies of each other, and some are zero in every cell."""
    counts = some_counts()[:, [20, *[21] * 8, *[22] * 8, *[0] * 3]]
    counts[:, -2:] = 0

    for number in (5, 12, 19):
        source = h5ad(write(tmp_path, counts), n_top_genes=number).prepared(torch.arange(40))
        assert source.train.shape == (40, number)
    assert source.preparation is not None
    assert source.preparation.features == GENES[:19]


@pytest.mark.parametrize(
    ("module", "option"), [("scanpy", "pbmc"), ("anndata", "h5ad"), ("scanpy", "n_top_genes=10")]
)
def test_what_is_not_installed_is_named_with_the_command(
    module: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, some_counts())
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigError, match=rf"{option}.* needs {module}: pip install .activae\[bio"):
        (pbmc() if option == "pbmc" else h5ad(file, n_top_genes=10)).prepared(torch.arange(40))


def test_they_are_imported_when_they_are_needed(
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    heavy = "scanpy sklearn torchvision pandas pyarrow psutil natsort pytorch_lightning"
    code = f"import sys, activae.data; print({{*'{heavy}'.split()}} & {{*sys.modules}})"
    result = python("-c", code)

    assert result.stdout.strip() == "set()", result.stderr
