"""scripts/use.py rate_distortion: from the folder of a sweep to a page, a table and a plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

import activae
from activae.cli.use import main
from activae.config.settling import settle
from activae.errors import DataError
from activae.results.run import train
from activae.use.compression.packing import compress
from activae.use.rates.study import METRIC, Study, study
from activae.use.rates.told import told
from activae.use.run import Run

Compose = Callable[..., DictConfig]
QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=60")


@pytest.fixture(scope="module")
def sweep(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on digits: two activations, two sizes of code, two seeds."""
    home = tmp_path_factory.mktemp("sweep")
    for activation in ("tanh", "gelu"):
        for dim in (2, 6):
            for seed in (0, 1):
                chosen = (f"activation={activation}", f"encoding.dim={dim}", f"seed={seed}")
                train(compose("optimizer.lr=1e-2", *chosen, *QUICK), home / ",".join(chosen))
    return home


@pytest.fixture(scope="module")
def found(sweep: Path) -> Study:
    return study([sweep])


def test_each_activation_and_seed_has_a_curve_of_all_its_codes(found: Study, sweep: Path) -> None:
    assert found.answer is not None
    assert {name: len(curves) for name, curves in found.curves.items()} == {"Tanh": 2, "GELU": 2}
    assert list(found.curves) == list(found.answer.table["condition"])
    assert found.answer.metric == METRIC
    assert len(found.answer.paired.runs) == 8
    low, high = found.rates
    rates = np.geomspace(low, high, 100)
    for row in found.answer.table.itertuples():
        means = [curve.psnr_at(rates).mean() for curve in found.curves[str(row.condition)]]
        assert row.mean == pytest.approx(np.mean(means))
    assert not any("averaged over" in said for said in found.answer.caveats)
    assert any("best size of code" in said for said in found.answer.caveats)


def test_bits_are_those_of_files_that_compress_writes(found: Study, images: np.ndarray) -> None:
    row = found.table[found.table["run"].notna()].iloc[0]
    run = activae.load(row["run"])
    assert row["images"] == run.spec.samples["test"]
    packed = compress(run, images[: row["images"]], psnr=row["PSNR"])
    assert len(packed.content) == pytest.approx(row["bytes"], rel=0.1)
    assert row["bits_a_pixel"] == 8 * row["bytes"] / (64 * row["images"])


def test_the_finest_files_are_about_as_good_as_the_runs_themselves(found: Study) -> None:
    finest = found.table[found.table["asked"] == "2 % more error"].dropna(subset="run")
    own = [activae.load(path).metrics["test"] for path in finest["run"]]
    assert len(own) == 8
    assert finest["PSNR"].tolist() == pytest.approx([each["PSNR"] for each in own], abs=0.1)
    assert finest["SSIM"].tolist() == pytest.approx([each["SSIM"] for each in own], abs=0.02)


def test_pca_of_the_same_sizes_goes_through_the_same_coder(found: Study, sweep: Path) -> None:
    pca = found.table[found.table["method"] == "PCA"]
    assert set(pca["dim"]) == {2, 6}
    best = pca[(pca["dim"] == 6) & (pca["asked"] == "2 % more error")].iloc[0]
    folder = next(path for path in sweep.iterdir() if "encoding.dim=6" in path.name)
    reference = activae.load(folder).metrics["pca"]["test"]["PSNR"]
    assert best["PSNR"] == pytest.approx(reference, abs=0.15)
    assert found.others.keys() == {"PCA", "JPEG", "JPEG, sheet", "WebP", "WebP, sheet"}
    assert found.exact.keys() == {
        "zlib",
        "PNG",
        "PNG, sheet",
    }  # digits have 17 levels: no --lossless


def test_the_terminal_keeps_to_80_columns(found: Study) -> None:
    lines = told(found).splitlines()
    assert [line for line in lines if len(line) > 80 and "/" not in line] == []  # paths stay whole
    assert any(line.startswith("PCA") for line in lines)
    assert any("no clear winner" in line or "best" in line for line in lines)


def test_the_command_writes_page_table_and_plot(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, csv, svg = (tmp_path / name for name in ("page.html", "points.csv", "plot.svg"))
    options = ["--where", "encoding.dim=6", "--csv", str(csv), "--svg", str(svg)]

    assert main(["rate_distortion", str(sweep), str(page), *options], "") == 0

    text = page.read_text()
    wanted = ("GELU", "Tanh", "PCA", "WebP, sheet", "scripts/use.py rate_distortion FOLDER")
    assert [word for word in wanted if word not in text] == []
    assert "without loss, bits a pixel: " in capsys.readouterr().out
    table = pd.read_csv(csv)
    assert set(table["dim"].dropna()) == {6}
    assert table[["bytes", "bits_a_pixel", "PSNR"]].notna().all(axis=None)
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_single_run_stands_beside_the_others(sweep: Path) -> None:
    one = study([next(sweep.iterdir())])
    assert one.answer is None
    assert len(one.curves) == 1
    assert "PCA" in told(one)


def test_what_is_no_image_is_refused(
    table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["rate_distortion", str(table_run.folder), str(page)], "") == 1
    assert "which are no images" in capsys.readouterr().err
    assert not page.exists()


def test_runs_on_other_test_images_are_refused(
    sweep: Path, compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    chosen = ("activation=relu", "encoding.dim=2", "data.split_seed=1", "seed=0")
    train(compose(*chosen, *QUICK), folder)
    arguments = ["rate_distortion", str(sweep), str(folder), str(tmp_path / "page.html")]
    assert main([*arguments, "--where", "encoding.dim=2"], "") == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "split" in said


def test_runs_whose_data_file_has_changed_are_refused(
    compose: Compose, images: np.ndarray, tmp_path: Path
) -> None:
    file, folder = tmp_path / "images.npy", tmp_path / "run"
    np.save(file, images[:100, None])
    of_file = ("data=array", f"data.path={file}", "+data.source.value_range=[0,16]")
    train(compose(*of_file, "encoding.dim=2", *QUICK), folder)
    study([folder])  # while the file is what it was
    np.save(file, images[1:101, None])

    with pytest.raises(DataError, match=r"run: its data file has changed since the run was train"):
        study([folder])


def test_runs_that_keep_off_the_test_split_are_refused(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for dim in (2, 3):
        chosen = ("score.test=false", f"encoding.dim={dim}")
        train(compose(*chosen, *QUICK), tmp_path / f"run{dim}")

    assert main(["rate_distortion", str(tmp_path), str(tmp_path / "page.html")], "") == 1

    assert "keep off the test split (score.test=false)" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_the_experiment_is_a_sweep_over_activations_and_codes(compose: Compose) -> None:
    cfg = settle(compose("experiment=rate_distortion", "trainer=cpu"))
    assert (cfg.data.name, cfg.trainer.max_epochs) == ("mnist", 10)
