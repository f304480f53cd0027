"""Which figure is compared: by default, by its name, by nearly its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.closing import tell_verdict
from activae.compare.collect import read_runs
from activae.errors import UserError

WriteRun = Callable[..., Path]
FRECHET = {"gmm": 3.0, "kde": 5.0, "gaussian": 9.0}


def with_figures(folder: Path, **figures: Any) -> None:
    file = folder / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | figures))


@pytest.fixture
def of_samplers(write_run: WriteRun, tmp_path: Path) -> Callable[..., Path]:
    """`of_samplers(scored=...)`: three seeds of each sampler; samples of some are scored."""

    def write(scored: tuple[str, ...] = tuple(FRECHET)) -> Path:
        for kind, frechet in FRECHET.items():
            node = {"_target_": f"activae.models.densities.kinds.{kind}", "_partial_": True}
            for seed in range(3):
                folder = write_run(f"{kind}{seed}", 10 + seed, seed=seed, sampler=node)
                if kind in scored:
                    made = {"frechet": frechet + seed, "low": {"frechet": frechet}, "n": 1000}
                    with_figures(folder, samples=made)
        return tmp_path

    return write


def answered(path: Path, **options: Any) -> Answer:
    return answer(read_runs([path]), **options)


class TestRunsThatDifferInTheirSamplerAlone:
    def test_are_compared_by_their_samples(self, of_samplers: Callable[..., Path]) -> None:
        found = answered(of_samplers())
        assert (found.factor, found.metric) == ("sampler", "samples/frechet")
        assert list(found.table["condition"]) == ["gmm", "kde", "gaussian"]
        assert "samples/frechet" not in "".join(found.caveats)

    def test_are_told_so_at_the_end_of_a_sweep(
        self, of_samplers: Callable[..., Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"):
            tell_verdict(of_samplers())
        assert "gmm has the best mean so far" in " ".join(caplog.text.split())

    @pytest.mark.parametrize(("scored", "which"), [((), "none of them"), (("gmm",), "too few")])
    def test_have_no_answer_without_figures_of_samples(
        self, scored: tuple[str, ...], which: str, of_samplers: Callable[..., Path]
    ) -> None:
        with pytest.raises(UserError, match="changes no test/SE") as refused:
            answered(of_samplers(scored))
        assert which in str(refused.value)
        assert "score.samples=true" in str(refused.value)

    def test_are_recommended_commands_that_score_samples(
        self, of_samplers: Callable[..., Path]
    ) -> None:
        path = of_samplers()
        scored = ["sampler=gmm,kde,gaussian", "score.samples=true"]
        launches = [["sampler=gmm", "seed=0"], [*scored, "seed=range(3)"]]
        (path / "sweep.json").write_text(json.dumps({"commands": launches, "jobs": {}}))

        (said,) = [line for line in answered(path).caveats if "paired seeds can reach" in line]
        assert "&&" not in said
        assert "sampler=gmm,kde,gaussian score.samples=true" in said
        (said,) = [line for line in answered(path, metric="val/SE").caveats if "can reach" in line]
        assert "&&" in said

    def test_may_be_compared_by_what_was_asked_for_with_a_caveat(
        self, of_samplers: Callable[..., Path]
    ) -> None:
        found = answered(of_samplers(), metric="test/SE")
        assert found.metric == "test/SE"
        assert "changes no test/SE" in "".join(found.caveats)

    def test_a_run_that_lacks_the_figure_hides_none_that_has_it(
        self, of_samplers: Callable[..., Path], write_run: WriteRun
    ) -> None:
        path = of_samplers()
        node = {"_target_": "activae.models.densities.kinds.gmm", "_partial_": True}
        write_run("a run before", 10, seed=0, sampler=node)
        found = answered(path)
        assert found.table["n"].tolist() == [3, 3, 3]
        assert "1 run is left out that lack samples/frechet" in found.caveats


class TestANameThatIsNoFigure:
    @pytest.fixture
    def path(self, write_run: WriteRun, tmp_path: Path) -> Path:
        made = {"frechet": 3.0, "n": 1000, "low": {"frechet": 2.0}, "real": {"frechet": 0.1}}
        for seed in range(2):
            for activation in ("relu", "gelu"):
                folder = write_run(f"{activation}{seed}", 10, activation, seed=seed)
                samples = {"gmm": made} if activation == "relu" else {"gmm": made, "one_nn": 0.6}
                with_figures(folder, nll={"test": 90.0, "codes": 100}, samples=samples)
        return tmp_path

    @pytest.mark.parametrize(
        ("metric", "meant"),
        [
            ("nll", "nll/test"),
            ("samples/frechet", "samples/gmm/frechet"),
            ("frechet", "samples/gmm/frechet"),
            ("one_nn", "samples/one_nn"),
            ("test/PSRN", "test/PSNR"),
            ("effective_rank", "diagnostics/effective_rank"),
        ],
    )
    def test_is_told_the_nearest_that_is_one(self, metric: str, meant: str, path: Path) -> None:
        with pytest.raises(UserError, match=rf"--metric {metric}: .*did you mean {meant}\?"):
            answered(path, metric=metric)

    def test_is_told_the_likelihood_and_the_samples_figures_too(self, path: Path) -> None:
        with pytest.raises(UserError) as refused:
            answered(path, metric="samples/fid")
        assert "did you mean" not in str(refused.value)
        known = str(refused.value).partition("choose from ")[2]
        assert known == (
            "val/SE, val/PSNR, test/SE, test/PSNR, nll/test, samples/gmm/..., samples/one_nn"
        )
