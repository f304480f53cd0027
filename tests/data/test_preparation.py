"""What turned raw rows into samples is kept with the model, and takes new rows the same way."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from activae.config.instantiating import build
from activae.config.settling import container, settle
from activae.data import restored
from activae.data.preparation import Unprepared
from activae.errors import DataError
from activae.results.run import train
from activae.sweeps.stack import train_stack
from activae.training.assembly import build_data
from activae.training.checkpoint import BEST, LAST, load_checkpoint
from activae.training.shared import Shared

Compose = Callable[..., DictConfig]

WORDS = ["ship", "sail", "wave", "harbour", "salt", "tide", "fish", "cloud", "star", "moon"]
SMALL = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_epochs=2")


def texts(folder: Path) -> tuple[str, ...]:
    numbers = np.random.default_rng(0)
    lines = [" ".join(numbers.choice(WORDS, 1 + n % 9)) for n in range(80)]
    (folder / "mine.txt").write_text("\n".join(lines))
    return ("data=text", f"data.path='{folder / 'mine.txt'}'")


def table(folder: Path) -> tuple[str, ...]:
    rows = [f"{n % 11},{'' if n % 5 else n},{WORDS[n % 4]}" for n in range(80)]
    (folder / "mine.csv").write_text("\n".join(["size,weight,kind", *rows]))
    return ("data=tabular", f"data.path='{folder / 'mine.csv'}'")


def cells(folder: Path) -> tuple[str, ...]:
    return ("data=pbmc", "data.source.n_top_genes=50")


@pytest.mark.parametrize("made", [texts, table, cells])
@pytest.mark.parametrize("checkpoint", [BEST, LAST])
def test_a_checkpoint_turns_raw_rows_into_what_training_saw(
    made: Callable[[Path], tuple[str, ...]], checkpoint: str, compose: Compose, tmp_path: Path
) -> None:
    composed = compose(*SMALL, *made(tmp_path))
    train(composed, tmp_path / "run")
    cfg = settle(composed)
    data = build_data(cfg)

    kept = load_checkpoint(tmp_path / "run" / checkpoint)
    preparation = restored(kept["preparation"])

    raw: Unprepared = build(container(cfg.data.source), "data.source")()
    assert preparation is not None
    samples = data.normalisation(preparation.transform(raw.train))
    assert preparation.features == data.source.preparation.features  # type: ignore[union-attr]
    seen = torch.cat([data.samples[stage] for stage in ("test", "val", "train")])
    order = torch.randperm(len(raw.train), generator=torch.Generator().manual_seed(0))
    assert samples[order].equal(seen)
    assert _is_plain(kept["preparation"])


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_samples_that_came_as_numbers_need_none(compose: Compose, tmp_path: Path) -> None:
    train(compose(*SMALL, "data.train_fraction=0.1"), tmp_path)

    assert restored(load_checkpoint(tmp_path / BEST)["preparation"]) is None


def test_a_preparation_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match=r"kind future: .*columns, expression, word_counts"):
        restored({"kind": "future"})


def test_it_is_fitted_on_the_training_split_alone(compose: Compose, tmp_path: Path) -> None:
    data = build_data(settle(compose(*SMALL, *table(tmp_path), "data.train_fraction=0.3")))

    train_split = data.samples["train"]
    assert train_split[:, 0].mean().item() == pytest.approx(0, abs=1e-6)
    assert train_split[:, 0].std(correction=0).item() == pytest.approx(1, rel=1e-6)
    assert data.samples["val"][:, 0].mean().abs() > 1e-3


def test_members_of_a_sweep_whose_splits_make_other_features_are_trained_apart(
    compose: Compose, tmp_path: Path
) -> None:
    shared = (*SMALL, *texts(tmp_path), "data.source.min_df=5")
    own = ("data.train_fraction=1.0", "data.train_fraction=0.2", "seed=1")
    jobs = [
        (settle(compose(*shared, override)), tmp_path / str(number))
        for number, override in enumerate(own)
    ]
    widths = [build_data(cfg).shape for cfg, _ in jobs]

    outcomes = train_stack(jobs)

    assert len(set(widths)) == 2
    for outcome, folder in zip(outcomes, (folder for _, folder in jobs), strict=True):
        assert not isinstance(outcome, Exception), outcome
        assert math.isfinite(outcome["test"]["SE"])
        assert load_checkpoint(folder / BEST)["preparation"]["kind"] == "word_counts"


def test_runs_share_a_compiled_step_only_where_their_batches_are_as_large(
    compose: Compose,
) -> None:
    def graphs(*overrides: str) -> int:
        configs = [
            settle(compose(*SMALL, "trainer.compile=true", f"data.train_fraction={n}", *overrides))
            for n in (0.1, 0.2)
        ]
        shared = Shared(keeps_all_data=True)
        return len({id(shared.graph(cfg)) for cfg in configs})

    assert graphs("data.batch_size=32") == 1
    assert graphs("data.batch_size=10000") == 2  # the whole of the split, which differs


def test_runs_share_a_compiled_step_only_where_their_features_are_as_many(
    compose: Compose, tmp_path: Path
) -> None:
    shared = Shared(keeps_all_data=True)
    compiled = (*SMALL, "trainer.compile=true")

    def graphs(*overrides: str) -> set[int]:
        fractions = ("data.train_fraction=1.0", "data.train_fraction=0.2")
        configs = [settle(compose(*compiled, *overrides, fraction)) for fraction in fractions]
        return {id(shared.graph(cfg)) for cfg in configs}

    assert len(graphs(*texts(tmp_path), "data.source.min_df=5")) == 2
    assert len(graphs("data=digits")) == 1
