"""`sampler=`: a density of the codes, fitted when a run has ended, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import torch
from omegaconf import DictConfig

import activae
from activae.config import settling
from activae.config.identity import job_id
from activae.config.settling import settle
from activae.errors import UserError
from activae.models.densities import kinds
from activae.results.run import train
from activae.results.run_folder import ended
from activae.results.sampler import FILE

Compose = Callable[..., DictConfig]


class Outcome(Protocol):
    code: int
    text: str

    def assert_one_error(self, *parts: str) -> None: ...


Complaint = Callable[..., str]

QUICK = (
    *("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=5"),
    *("data.source.samples=60", "data.source.features=16", "encoding.dim=3", "data=random"),
)


@pytest.mark.parametrize("kind", ["gmm", "gaussian", "kde", "flow", "two_stage"])
def test_a_run_ends_with_its_sampler(kind: str, compose: Compose, tmp_path: Path) -> None:
    cfg = compose(*QUICK, f"sampler={kind}", *(["sampler.components=2"] if kind == "gmm" else []))
    train(cfg, tmp_path / "run")

    run = activae.load(tmp_path / "run")
    assert run.sampler.recipe.kind == kind
    assert run.sampler.codes == run.spec.samples["train"]
    assert run.sample(4).shape == (4, 16)


def test_the_second_stage_is_an_experiment(compose: Compose, tmp_path: Path) -> None:
    train(compose(*QUICK, "experiment=two_stage", "sampler.hidden=[8]"), tmp_path / "run")

    run = activae.load(tmp_path / "run")
    assert str(run.sampler).startswith("two_stage of a second VAE")
    with pytest.raises(UserError, match="the density of a second VAE is not known"):
        run.log_prob(run.sample(2))


def test_a_flow_without_zuko_is_refused_before_training(
    complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "find_spec", lambda package: None)

    assert complaint("sampler=flow") == "sampler=flow: needs zuko: pip install 'activae[flows]'"


def test_no_sampler_is_part_of_what_a_run_is(compose: Compose) -> None:
    ids = {
        job_id(settle(compose("trainer=cpu", "experiment=vae", f"sampler={kind}")))
        for kind in ("none", "gmm", "prior")
    }

    assert len(ids) == 1


def test_an_unfinished_run_goes_on_with_another_sampler(
    compose: Compose, interrupt: Callable[..., None], tmp_path: Path
) -> None:
    interrupt(compose(*QUICK), tmp_path, 2)
    train(compose(*QUICK, "sampler=gaussian"), tmp_path)

    assert activae.load(tmp_path).sampler.recipe.kind == "gaussian"


@pytest.mark.parametrize("error", ["user's", "ours"])
def test_a_run_is_complete_though_no_density_fits_its_codes(
    error: str,
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(codes: torch.Tensor) -> None:
        raise ValueError("a bug")

    if error == "ours":
        monkeypatch.setattr(kinds.mixtures, "gaussian", broken)
    shown = {"ours": "ValueError: a bug", "user's": "sampler=flow: is not fitted: 8 codes"}[error]
    kind = "gaussian" if error == "ours" else "flow"
    train(compose(*QUICK, f"sampler={kind}", "data.train_fraction=0.2"), tmp_path)

    assert ended(tmp_path) == "completed"
    assert not (tmp_path / FILE).exists()
    assert shown in " ".join(caplog.text.split())


def test_what_suits_no_sampler_is_refused_before_training(complaint: Complaint) -> None:
    assert "sampler=gmm: codes of latent=vq are words" in complaint(
        "experiment=vq_vae", "sampler=gmm"
    )
    assert "sampler=prior: nothing trained this run's codes" in complaint("sampler=prior")
    assert "sampler.components=0: must be" in complaint("sampler=gmm", "sampler.components=0")
    assert (
        "sampler.components=2000: the sampler is fitted to the codes of 1258 training samples, "
        "which are fewer; give at most 1258, or sampler=gaussian"
    ) in complaint("data=digits", "sampler=gmm", "sampler.components=2000")
    assert "sampler.transforms=0: must be" in complaint("sampler=flow", "sampler.transforms=0")
    assert "sampler.family=glow: must be one of" in complaint("sampler=flow", "sampler.family=glow")
    for bad in ("[]", "[8,0]"):
        assert "must be a list of whole numbers of 1 or more" in (
            complaint("sampler=two_stage", f"sampler.hidden={bad}")
        )


class TestInASweep:
    """A launch fits what it asks for to runs that were done before, and trains none again."""

    def test_runs_that_are_done_get_the_sampler(
        self, train_py: Callable[..., Outcome], tmp_path: Path
    ) -> None:
        command = ("-m", "sweep=s", "hydra.launcher.workers=1", *QUICK, "seed=0,1")
        first = train_py(*command, "sampler=gaussian")
        sweep = tmp_path / "outputs" / "sweeps" / "s"
        folders = sorted(path.parent for path in sweep.glob("*/config.yaml"))
        again = train_py(*command, "sampler=kde")

        assert (first.code, again.code) == (0, 0), again.text
        assert "2 runs, 0 to train, 2 done" in again.text
        assert [activae.load(each).sampler.recipe.kind for each in folders] == ["kde", "kde"]
        assert len(folders) == 2
        said = " ".join(again.text.split())
        for each in folders:
            assert f"{each.name}: is done, and gets the sampler kde" in said

    def test_several_samplers_are_refused(self, train_py: Callable[..., Outcome]) -> None:
        train_py("-m", "sampler=kde,gmm", *QUICK).assert_one_error("sampler: a sweep trains each")
