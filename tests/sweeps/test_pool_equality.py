"""A run that takes its steps with a graph it shares is the plain run of the same config."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.identity import job_id
from activae.config.settling import container, settle
from activae.results.run import train
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Ended, Event, Job, Said
from activae.sweeps.pool import Pool
from activae.training.checkpoint import LAST, load_checkpoint

# The compiler's own warnings change from release to release.
pytestmark = pytest.mark.filterwarnings("default")

SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=13",
    "encoder.hidden=[16]",
    "decoder.hidden=[16]",
)
# 4 steps an epoch: the first 13 epochs are the first 52 steps.
MASKED = "corruption=masking"
NORMALISED = ("encoder.normalisation=layer", "decoder.normalisation=group")
SPREAD = [
    ("activation=relu", "optimizer=adam", "regulariser=[kl_sparse,contractive]", MASKED),
    ("activation=tanh", "optimizer=momentum", "scheduler=cosine", "objective=bce"),
    ("activation=geglu", "optimizer=adamw", "scheduler=onecycle", "objective=huber", *NORMALISED),
    ("activation=prelu", "optimizer=rmsprop", "optimizer.lr=1e-4", "objective=l1"),
    ("activation=mish", "optimizer=lion", "scheduler=plateau", "scheduler.threshold=0.2"),
    ("objective=zinb", "data.normalisation=none", "activation=tanh"),
    ("activation=snake", "optimizer=nadam", "trainer.gradient_clip_val=0.01"),
    ("activation=rrelu", "encoder.dropout=0.1", "init=lsuv"),
]
# What members that share one graph may differ in.
ALIKE = [
    (
        "seed=1",
        "optimizer.weight_decay=0.1",
        "objective.l2=1e-4",
        "regulariser.code_l1.weight=1e-3",
    ),
    ("seed=2", "optimizer.weight_decay=0.3", "objective.l2=1e-3", "optimizer.lr=3e-3"),
    ("seed=1", "optimizer.weight_decay=0.1", "objective.l2=1e-4", "data.train_fraction=0.08"),
]

Compose = Callable[..., DictConfig]


def jobs_of(settled: list[DictConfig], folder: Path) -> list[Job]:
    return [
        Job(job_id(cfg), number, (), folder / str(number), container(cfg), {})
        for number, cfg in enumerate(settled)
    ]


@contextmanager
def unsurrounded(job: Job) -> Iterator[None]:
    yield


def train_in_pool(jobs: list[Job], folder: Path, compiling: bool) -> list[Event]:
    sweep, told = SweepFolder(folder), list[Event]()
    sweep.enrol([], {job.id: (job.name, ()) for job in jobs})
    Pool(sweep, unsurrounded, told.append, workers=1, compiling=compiling).run(jobs)
    outcomes = [event.outcome for event in told if isinstance(event, Ended)]
    assert [outcome.status for outcome in outcomes] == ["completed"] * len(jobs), outcomes
    return told


def assert_alike(shared: Path, plain: Path) -> None:
    """Losses of the first steps within 1e-4, final SE within 1 %, weights and order alike."""
    for found, expected in zip(history(shared), history(plain), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    ends = [json.loads((folder / "metrics.json").read_text()) for folder in (shared, plain)]
    assert ends[0]["test"]["SE"] == pytest.approx(ends[1]["test"]["SE"], rel=1e-2)
    weights = [load_checkpoint(folder / LAST)["state_dict"] for folder in (shared, plain)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=5e-3, atol=5e-5)


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert float(rows[-1]["step"]) >= 50
    kept = ("step", "lr", "loss/train", "loss/val", "SE/val")
    return [{name: float(row[name]) for name in kept} for row in rows]


@pytest.mark.parametrize("overrides", SPREAD, ids=lambda overrides: ",".join(overrides[:2]))
def test_a_compiled_run_is_the_plain_run(
    overrides: tuple[str, ...], compose: Compose, tmp_path: Path
) -> None:
    cfg = settle(compose(*SMALL, *overrides))
    train(cfg, tmp_path / "plain")

    [job] = jobs_of([cfg], tmp_path / "sweep")
    train_in_pool([job], tmp_path / "sweep", compiling=True)

    assert_alike(job.folder, tmp_path / "plain")


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("encoder.normalisation=batch", "encoder.normalisation1.running_mean is a buffer"),
        ("optimizer=lbfgs", "LBFGS evaluates the loss"),
    ],
)
def test_a_run_that_cannot_be_compiled_is_trained_step_by_step_and_it_is_said(
    override: str, reason: str, compose: Compose, tmp_path: Path
) -> None:
    cfg = settle(compose(*SMALL, override, "trainer.max_epochs=2"))
    train(cfg, tmp_path / "plain")

    [job] = jobs_of([cfg], tmp_path / "sweep")
    told = train_in_pool([job], tmp_path / "sweep", compiling=True)

    [said] = [
        event.text for event in told if isinstance(event, Said) and "step by step" in event.text
    ]
    assert reason in said
    found = [json.loads((f / "metrics.json").read_text()) for f in (job.folder, tmp_path / "plain")]
    assert found[0]["test"] == found[1]["test"]


def test_members_that_share_one_graph_are_their_plain_runs(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: compiled.append(a) or compile_(*a, **k))
    settled = [
        settle(compose(*SMALL, "optimizer=adamw", "regulariser=code_l1", *overrides))
        for overrides in ALIKE
    ]
    jobs = jobs_of(settled, tmp_path / "sweep")

    train_in_pool(jobs, tmp_path / "sweep", compiling=True)

    assert len(compiled) == 2  # one for each data set, which are worked at one after the other
    for job, cfg in zip(jobs, settled, strict=True):
        train(cfg, tmp_path / f"plain{job.number}")
        assert_alike(job.folder, tmp_path / f"plain{job.number}")


@pytest.mark.parametrize("count", [1, 3, 20])
def test_a_run_is_the_same_in_company_of_any_size(
    count: int, compose: Compose, tmp_path: Path
) -> None:
    small = [*SMALL, "trainer.max_epochs=2", "data.train_fraction=0.05"]
    settled = [settle(compose(*small, f"seed={seed}")) for seed in range(count)]
    jobs = jobs_of(settled, tmp_path / "sweep")

    train_in_pool(jobs, tmp_path / "sweep", compiling=False)

    train(settled[-1], tmp_path / "plain")
    folders = (jobs[-1].folder, tmp_path / "plain")
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    assert scores[0]["test"] == scores[1]["test"]
    assert scores[0]["pca"] == scores[1]["pca"]
