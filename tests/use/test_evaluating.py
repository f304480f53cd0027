"""How good a finished run's samples are: in Python, on the command line, and for compare."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

import activae
from activae.cli.use import main
from activae.compare.collect import read_runs
from activae.compare.pairing import pair
from activae.config.identity import job_id
from activae.config.settling import container, settle
from activae.errors import DataError, UserError
from activae.results.run import train
from activae.results.sampler import save
from activae.results.samples import features, inception
from activae.results.samples.scoring import SampleScores
from activae.results.samples.told import notes
from activae.use import evaluating
from activae.use.run import Run

Compose = Callable[..., DictConfig]
Trained = Callable[..., Path]
Printed = pytest.CaptureFixture[str]
FIGURES = {
    *("frechet", "kernel", "sliced_w2", "precision", "recall", "density", "coverage", "one_nn"),
    *("nearest_train", "label_coverage", "label_entropy"),
}
QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=20")


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.RECIPE, "steps", 60)
        yield


@pytest.fixture(scope="module")
def scored(trained: Trained) -> Path:
    """A run that was to score its samples."""
    return trained("data=digits", "sampler=gaussian", "score.samples=true")


@pytest.fixture
def folder(digits: Run, tmp_path: Path) -> Path:
    return shutil.copytree(digits.folder, tmp_path / "run")


@pytest.fixture(scope="module")
def scores(digits: Run) -> SampleScores:
    return digits.evaluate("gaussian", n=100)


def missing(run: Run) -> None:
    raise UserError("digits: has not been downloaded here")


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


class TestInARunsMetrics:
    def test_they_are_there_where_they_are_wanted(self, scored: Path, digits_folder: Path) -> None:
        found = metrics(scored)["samples"]

        assert found.keys() > FIGURES
        assert (found["n"], found["split"]) == (359, "test")
        assert found["sampler"].startswith("gaussian of 1 normal")
        assert found["copies"]["nearest_train"] == 0
        assert "samples" not in metrics(digits_folder)

    def test_they_are_those_that_the_finished_run_is_given(self, scored: Path) -> None:
        again = activae.load(scored).evaluate()

        found = metrics(scored)["samples"]
        assert again.hash == found["features"]
        for name in FIGURES:
            assert again.samples[name].value == pytest.approx(found[name], rel=1e-3, abs=1e-3)

    def test_compare_ranks_by_them_and_knows_which_way(
        self, scored: Path, trained: Trained
    ) -> None:
        other = trained("data=digits", "sampler=gaussian", "score.samples=true", "activation=tanh")
        runs = read_runs([scored, other])

        for name, sign in (("frechet", 1), ("coverage", -1), ("recall", -1)):
            paired = pair(runs, metric=f"samples/{name}")
            assert paired.sign == sign
            assert sign * metrics(scored)["samples"][name] in paired.scores

    @pytest.mark.parametrize(("name", "best"), [("nearest_train", 1), ("one_nn", 0.5)])
    def test_what_is_best_at_a_number_is_ranked_by_the_distance_from_it(
        self, name: str, best: float, scored: Path, trained: Trained
    ) -> None:
        other = trained("data=digits", "sampler=gaussian", "score.samples=true", "activation=tanh")
        runs = read_runs([scored, other])

        paired = pair(runs, metric=f"samples/{name}")

        assert (paired.metric, paired.sign) == (f"|samples/{name} - {best:g}|", 1)
        assert abs(metrics(scored)["samples"][name] - best) in paired.scores
        again = pair(runs, metric=paired.metric)
        assert again.scores.tolist() == paired.scores.tolist()

    def test_the_terminal_shows_them(self, compose: Compose, tmp_path: Path) -> None:
        from io import StringIO

        from rich.console import Console

        from activae.results.terminal import show

        told = StringIO()
        found = metrics_of_a_small_run(compose, tmp_path)
        show(found, "a run", Console(file=told, width=80))

        (line,) = (line for line in told.getvalue().splitlines() if "Frechet distance" in line)
        assert f"{found['samples']['frechet']:.4g}"[:4] in line

    def test_a_run_is_complete_though_its_samples_cannot_be_scored(
        self, compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        few = ("data=random", "data.source.samples=60", "data.source.features=16")
        train(compose(*few, "sampler=gaussian", "score.samples=true", *QUICK), tmp_path / "run")

        assert metrics(tmp_path / "run")["status"] == "completed"
        assert "samples" not in metrics(tmp_path / "run")
        assert "samples are not scored: random" in " ".join(caplog.text.split())

    def test_test_is_not_looked_at_by_runs_that_tune(
        self, compose: Compose, tmp_path: Path
    ) -> None:
        found = metrics_of_a_small_run(compose, tmp_path, "score.test=false")

        assert (found["samples"]["split"], found["samples"]["n"]) == ("val", 50)

    def test_without_a_sampler_it_is_refused_before_training(
        self, complaint: Callable[..., str]
    ) -> None:
        assert "score.samples=true: nothing draws samples of this run; add sampler=gmm" in (
            complaint("data=digits", "score.samples=true")
        )

    def test_the_sampler_is_part_of_what_such_a_run_is(self, compose: Compose) -> None:
        ids = {
            job_id(settle(compose("data=digits", "score.samples=true", f"sampler={kind}")))
            for kind in ("gmm", "gaussian")
        }
        plain = settle(compose("data=digits"))
        older = container(plain)
        del older["score"]["samples"]

        assert len(ids | {job_id(plain)}) == 3
        assert job_id(older) == job_id(plain)


def metrics_of_a_small_run(compose: Compose, folder: Path, *overrides: str) -> Any:
    own = ("data=random", "data.source.samples=500", "data.source.features=6", "encoding.dim=3")
    wanted = ("sampler=gaussian", "score.samples=true")
    return train(compose(*own, *wanted, *QUICK, *overrides), folder / "small")


def test_runs_of_a_sweep_share_one_feature_network(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.json").write_text("{}")
    runs = [activae.load(shutil.copytree(scored, tmp_path / name)) for name in ("a", "b")]
    for run in runs:
        for file in run.folder.glob("features-*"):
            file.unlink()
    runs[0].evaluate(n=50)
    monkeypatch.setattr(features, "_train", None)

    runs[1].evaluate(n=50)

    assert len(list(tmp_path.glob("features-*.pt"))) == 1
    assert not list(tmp_path.glob("*/features-*"))


class TestInPython:
    def test_a_figure_has_its_interval(self, scores: SampleScores) -> None:
        found = scores.samples["frechet"]

        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        assert scores.beside.keys() == {"reconstructions", "real", "copies"}

    def test_the_same_seed_gives_the_same_figures(self, digits: Run, scores: SampleScores) -> None:
        assert digits.evaluate("gaussian", n=100).samples == scores.samples
        assert digits.evaluate("gaussian", n=100, seed=1).samples != scores.samples

    def test_the_kept_sampler_is_the_default(self, folder: Path, capsys: Printed) -> None:
        assert main(["fit-sampler", str(folder), "--sampler", "kde"], "") == 0

        assert activae.load(folder).evaluate(n=50).sampler.startswith("kde of")
        assert activae.load(folder).evaluate("gaussian", n=50).sampler.startswith("gaussian of")

    def test_the_kept_one_is_taken_where_its_kind_is_named(
        self, folder: Path, capsys: Printed
    ) -> None:
        run = activae.load(folder)
        run.fit_sampler("gmm", components=3)

        assert run.evaluate("gmm", n=50).sampler == str(run.sampler)
        assert main(["evaluate", str(folder), "--sampler", "gmm", "-n", "50"], "") == 0
        assert "sampler gmm of 3 normal distributions" in " ".join(capsys.readouterr().out.split())

    def test_a_kept_one_of_another_network_is_refused_before_anything_is_trained(
        self, folder: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = activae.load(trained("data=digits", "seed=9"))
        monkeypatch.setattr(evaluating, "own_data", missing)
        for settings, said in (
            ({"kind": "gmm", "components": 5}, "--sampler gmm --components 5 --force`"),
            ({"kind": "kde", "seed": 3}, "--sampler kde --seed 3 --force`"),
        ):
            kept = other.fit_sampler(**settings)
            save(kept, folder)
            for kind in (None, kept.recipe.kind):
                with pytest.raises(DataError, match="another network") as refused:
                    activae.load(folder).evaluate(kind)
                assert str(refused.value).endswith(f"fit-sampler {folder} {said}")

    def test_printed_it_is_the_commands_table(
        self, digits: Run, scores: SampleScores, capsys: Printed
    ) -> None:
        command = ["evaluate", str(digits.folder), "--sampler", "gaussian", "-n", "100"]
        assert main(command, "") == 0

        assert capsys.readouterr().out == f"{scores}\n"
        assert repr(scores).startswith(
            "<activae.SampleScores of 100 samples by gaussian of 1 normal"
        )
        assert f"frechet {scores.samples['frechet'].value:.4g}, precision" in repr(scores)
        assert len(repr(scores)) < 250

    def test_without_one_it_is_a_gmm(self, digits: Run) -> None:
        assert digits.evaluate(n=50).sampler.startswith("gmm of 10 normal")

    def test_real_samples_may_be_given(self, digits: Run, images: np.ndarray) -> None:
        found = digits.evaluate("gaussian", real=images[:400])

        assert (found.n, found.split, found.accuracy) == (400, "INPUT", None)
        assert found.samples.keys() == FIGURES
        assert found.beside["real"]["frechet"].value < found.samples["frechet"].value

    def test_copies_are_training_samples_of_the_run_whatever_is_given(
        self, digits: Run, images: np.ndarray
    ) -> None:
        beside = digits.evaluate("gaussian", real=images[:400]).beside

        assert beside["copies"]["nearest_train"].value == 0
        assert beside["real"]["nearest_train"].value > 0.5
        assert beside["copies"]["frechet"] != beside["real"]["frechet"]

    def test_samples_that_it_was_trained_on_are_told_to_be_no_measure(
        self, digits: Run, images: np.ndarray, caplog: pytest.LogCaptureFixture
    ) -> None:
        digits.evaluate("gaussian", real=images[:50])
        assert re.search(
            r"\d\d % of INPUT are samples that the run was trained on",
            " ".join(caplog.text.split()),
        )
        caplog.clear()

        digits.evaluate("gaussian", real=np.roll(images[:50], 1, axis=2))
        assert "trained on" not in caplog.text

    def test_features_are_told_to_be_a_classifiers_though_given_samples_have_no_labels(
        self, digits: Run, images: np.ndarray
    ) -> None:
        found = digits.evaluate("gaussian", real=images[:50]).as_metrics()

        (first, *_) = notes(found)
        assert f"features of classifier {found['features']}" in " ".join(first.split())

    def test_without_the_runs_data_copies_are_left_out_and_the_reason_is_told(
        self,
        digits: Run,
        images: np.ndarray,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Printed,
    ) -> None:
        monkeypatch.setattr(evaluating, "own_data", missing)
        np.save(tmp_path / "x.npy", images[:200])

        found = digits.evaluate("gaussian", real=images[:200])

        assert (found.n, found.split) == (100, "INPUT")
        assert found.beside.keys() == {"reconstructions", "real"}
        assert "nearest_train" not in found.samples
        command = ["evaluate", str(digits.folder), str(tmp_path / "x.npy"), "--sampler", "gaussian"]
        assert main(command, "") == 0
        told = capsys.readouterr().out
        assert "copies" not in told.splitlines()[0]
        assert (
            "copies and nearest train are left out, because nothing tells here what the run was "
            "trained on: digits: has not been downloaded here"
        ) in " ".join(told.split())

    def test_what_cannot_be_evaluated_is_named(
        self, digits: Run, trained: Trained, images: np.ndarray
    ) -> None:
        with pytest.raises(UserError, match="sampler=flow9: choose one of gmm, gaussian"):
            digits.evaluate("flow9")
        with pytest.raises(UserError, match="nothing trained this run's codes towards a prior"):
            digits.evaluate("prior")
        with pytest.raises(UserError, match="1258 training samples and 39 of INPUT are too few"):
            digits.evaluate(real=images[:39])
        with pytest.raises(UserError, match="codes of latent=vq are words of a codebook"):
            activae.load(trained("data=digits", "experiment=vq_vae")).evaluate()

    def test_data_that_are_not_at_hand_are_asked_for(
        self, digits: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluating, "own_data", missing)

        with pytest.raises(UserError, match=r"has not been downloaded here.*give INPUT"):
            digits.evaluate()

    def test_pixels_of_0_and_1_are_compared_with_drawn_ones(
        self, trained: Trained, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = activae.load(trained("data=digits", "data.source.binarise=dynamic"))
        seen: list[Tensor] = []
        points = features.OwnFeatures.points

        def watched(self: Any, x: Tensor) -> Tensor:
            seen.append(x)
            return points(self, x)

        monkeypatch.setattr(features.OwnFeatures, "points", watched)
        for real in (None, images[:300]):
            run.evaluate("gaussian", n=50, real=real)

        assert len(seen) >= 2 * 5  # real samples and four sets beside them
        assert {value for x in seen for value in x.unique().tolist()} == {0, 1}

    def test_tables_are_evaluated_too(self, trained: Trained, home: Path) -> None:
        rows = ["height,kind"] + [
            f"{150 + i % 40},{'red' if i % 3 else 'blue'}" for i in range(300)
        ]
        (home / "evaluated.csv").write_text("\n".join(rows))
        own = ("data=tabular", f"data.path={home / 'evaluated.csv'}", "encoding.dim=2")

        assert activae.load(trained(*own)).evaluate().n == 60


class TestOnTheCommandLine:
    def test_a_table_and_what_it_means(self, digits: Run, capsys: Printed) -> None:
        assert main(["evaluate", str(digits.folder), "--sampler", "gaussian", "-n", "60"], "") == 0

        told = capsys.readouterr().out.splitlines()
        assert max(map(len, told)) <= 80
        assert told[0].split() == ["samples", "95", "%", "interval", "reconstr.", "real", "copies"]
        assert "caught by nearest train, 0.0000" in " ".join(told)

    def test_json_has_figures_and_intervals(
        self, digits: Run, scores: SampleScores, capsys: Printed
    ) -> None:
        command = ["evaluate", str(digits.folder), "--sampler", "gaussian", "-n", "100", "--json"]
        assert main(command, "") == 0

        assert json.loads(capsys.readouterr().out) == scores.as_metrics()

    def test_figures_are_kept_for_compare_when_asked(self, folder: Path, capsys: Printed) -> None:
        before = metrics(folder)
        for kind in (["--sampler", "gaussian"], []):
            assert main(["evaluate", str(folder), "-n", "50", *kind, "--keep"], "") == 0
        said = capsys.readouterr().err
        file = folder / "metrics.json"
        assert f"{file}: keeps these figures, as samples/gaussian/frechet" in said
        assert f"{file}: keeps these figures, as samples/frechet" in said

        after = metrics(folder)
        kept = after.pop("samples")
        assert after == before
        assert kept["sampler"].startswith("gmm")
        assert kept["gaussian"]["sampler"].startswith("gaussian")
        table = activae.collect(folder)
        assert table["samples/gaussian/frechet"].item() == kept["gaussian"]["frechet"]

    def test_figures_are_kept_though_nobody_reads_the_table_to_its_end(
        self, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of `evaluate RUN --keep | head -1`."""
        reader, written = os.pipe()
        os.close(reader)
        before = os.dup(1)
        os.dup2(written, 1)  # where a reader that is gone is looked for
        os.close(written)
        command = ["evaluate", str(folder), "--sampler", "gaussian", "-n", "50", "--keep"]
        try:
            with os.fdopen(1, "w", buffering=1, closefd=False) as nobody:
                monkeypatch.setattr(sys, "stdout", nobody)
                assert main(command, "") == 0
        finally:
            os.dup2(before, 1)
            os.close(before)

        told = capfd.readouterr().err
        assert "interrupted" not in told
        assert "keeps these figures, as samples/gaussian/frechet" in told
        assert "frechet" in metrics(folder)["samples"]["gaussian"]

    def test_mistakes_are_one_message(self, digits: Run, capsys: Printed) -> None:
        assert main(["evaluate", str(digits.folder), "-n", "900"], "") == 1
        assert "n=900: give 40 to 359" in capsys.readouterr().err


class Extractor(nn.Module):
    """Stands for torch-fidelity's Inception: colours in, two features of each image out."""

    def __init__(self, name: str, names: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        self.load_state_dict(torch.load(feature_extractor_weights_path))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        assert x.dtype == torch.uint8
        assert x.shape[1:] == (3, 8, 8)
        return (torch.stack([x.float().mean((1, 2, 3)), x[:, 0, 4].float().mean(1)], 1),)


class TestInception:
    @pytest.fixture
    def weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
        module.FeatureExtractorInceptionV3 = Extractor  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        torch.save({}, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    def test_fid_is_named_only_where_its_weights_are(
        self, weights: Path, digits: Run, capsys: Printed
    ) -> None:
        command = ["evaluate", str(digits.folder), "--sampler", "gaussian", "-n", "60"]
        assert main(command, "") == 0
        assert "FID" not in capsys.readouterr().out

        assert main([*command, "--inception", str(weights)], "") == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "the Frechet distance is an FID" in told
        assert "of fewer than 2048" in told
        assert "labels covered" not in told

    def test_a_file_that_would_run_code_is_refused(
        self, weights: Path, digits: Run, tmp_path: Path
    ) -> None:
        torch.save({"a": SimpleNamespace()}, weights)
        for bad in (weights, tmp_path):
            with pytest.raises((DataError, UserError), match="--inception="):
                digits.evaluate("gaussian", n=60, inception=bad)

    def test_without_torch_fidelity_its_extra_is_named(
        self, weights: Path, digits: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
        with pytest.raises(UserError, match=r"pip install 'activae\[fid\]'"):
            digits.evaluate("gaussian", n=60, inception=weights)

    def test_what_is_no_picture_is_refused(self, table_run: Run, weights: Path) -> None:
        with pytest.raises(UserError, match="FID is for images of 1 or 3 channels"):
            table_run.evaluate("gaussian", real=None, inception=weights)

    def test_grey_becomes_colour_and_whole_numbers(self, weights: Path) -> None:
        found = inception.Inception(weights, torch.device("cpu"))

        points = found.points(torch.full((60, 1, 8, 8), 0.5))

        assert points.equal(torch.full((60, 2), 128.0))
