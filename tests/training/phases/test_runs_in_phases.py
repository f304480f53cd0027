"""Runs in phases: what changes from one to the next, and that they can be cut and resumed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.results.run import train
from activae.sweeps.stack import why_not_stackable
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.early_stopping import EarlyStopping
from activae.training.module import AutoencoderModule, Interrupted

Compose = Callable[..., DictConfig]

# Digits: 4 batches of 32 an epoch.
QUICK = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "encoder.hidden=[16,12]",
    "decoder.hidden=[12,16]",
    "encoding.dim=5",
)
HALVES = "phases=encoder_then_decoder"
LAYERS = "phases=layerwise"


@pytest.fixture
def model(compose: Compose) -> Callable[..., AutoencoderModule]:
    def built(*overrides: str) -> AutoencoderModule:
        cfg = settle(compose(*QUICK, *overrides))
        return build_model(cfg, build_data(cfg))

    return built


def states(folder: Path) -> Any:
    return load_checkpoint(folder / LAST)["state_dict"]


def test_what_is_frozen_stays_as_it_was_drawn(
    compose: Compose, model: Callable[..., AutoencoderModule], tmp_path: Path
) -> None:
    drawn = model(HALVES).state_dict()
    train(compose(*QUICK, HALVES, "trainer.max_epochs=1", "optimizer=adamw"), tmp_path / "whole")
    only_encoder = ("phases.encoder_share=0.99", "trainer.max_epochs=25")
    cfg = compose(*QUICK, HALVES, *only_encoder, "optimizer.lr=1e-3")
    rows = history(train_folder(cfg, tmp_path / "encoder"))

    assert [row["phase"] for row in rows[:-1]] == ["encoder"] * 24
    after = states(tmp_path / "encoder")
    assert not after["net.encoder.layer1.weight"].equal(drawn["net.encoder.layer1.weight"])
    # The decoder has had one step of Adam, which moves a weight by lr at most.
    moved = after["net.decoder.layer1.weight"] - drawn["net.decoder.layer1.weight"]
    assert moved.abs().max() <= 1.01e-3


def train_folder(cfg: DictConfig, folder: Path) -> Path:
    train(cfg, folder)
    return folder


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_each_phase_is_a_training_of_its_own(compose: Compose, tmp_path: Path) -> None:
    overrides = ("scheduler=onecycle", "objective.l2=1e-5", "trainer.max_epochs=8")
    rows = history(train_folder(compose(*QUICK, LAYERS, *overrides), tmp_path / "run"))

    assert [row["phase"] for row in rows] == [
        *("layer1", "layer2", "layer3", "layer3"),
        *["joint"] * 4,
    ]
    lrs = [float(row["lr"]) for row in rows]
    assert lrs[3] < 1e-6  # the cycle of the third phase has ended
    assert lrs[4] > 1e-4  # and another begun
    # Penalties belong to the joint phase, whose columns the others leave empty.
    assert [bool(row["loss_terms/l2"]) for row in rows] == [False] * 4 + [True] * 4


def test_a_plateau_is_forgotten_when_a_phase_begins(compose: Compose, tmp_path: Path) -> None:
    overrides = ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.9")
    cfg = compose(*QUICK, HALVES, *overrides, "trainer.max_epochs=8")

    lrs = [float(row["lr"]) for row in history(train_folder(cfg, tmp_path))]

    assert lrs[3] < lrs[0]
    assert lrs[4] == lrs[0]


def test_pretraining_starts_the_joint_phase_better_off(compose: Compose, tmp_path: Path) -> None:
    rows = history(
        train_folder(compose(*QUICK, LAYERS, "trainer.max_epochs=60"), tmp_path / "pretrained")
    )
    alone = history(
        train_folder(compose(*QUICK, "trainer.max_epochs=5"), tmp_path / "from scratch")
    )

    joint_rows = [row for row in rows if row["phase"] == "joint"]
    assert float(joint_rows[0]["SE/val"]) < float(alone[0]["SE/val"])


@pytest.mark.parametrize("way", [HALVES, LAYERS])
@pytest.mark.parametrize("cut", [3, 8, 16, 20])  # within epochs, at their ends, at phases' ends
@pytest.mark.parametrize("schedule", ["cosine", "plateau scheduler.patience=0"])
def test_a_run_cut_in_any_phase_ends_as_if_it_had_not_been(
    way: str,
    cut: int,
    schedule: str,
    compose: Compose,
    stopping_after: Callable[..., Any],
    tmp_path: Path,
) -> None:
    cfg = compose(*QUICK, way, "trainer.max_epochs=8", *f"scheduler={schedule}".split())
    train(cfg, tmp_path / "whole")

    with stopping_after(cut), pytest.raises(Interrupted):
        train(cfg, tmp_path / "cut")
    train(cfg, tmp_path / "cut")

    for name, tensor in states(tmp_path / "whole").items():
        assert tensor.equal(states(tmp_path / "cut")[name]), name
    kept = [{k: v for k, v in row.items() if k != "seconds"} for row in history(tmp_path / "cut")]
    assert kept == [
        {k: v for k, v in row.items() if k != "seconds"} for row in history(tmp_path / "whole")
    ]


@pytest.mark.filterwarnings("default")  # the compiler's own change from release to release
def test_a_compiled_run_in_phases_is_the_plain_one(compose: Compose, tmp_path: Path) -> None:
    for compiled in ("false", "true"):
        size = ("encoder.hidden=[8]", "decoder.hidden=[8]", "trainer.max_epochs=4")
        cfg = compose(*QUICK, HALVES, *size, f"trainer.compile={compiled}")
        train(cfg, tmp_path / compiled)

    for name, tensor in states(tmp_path / "false").items():
        torch.testing.assert_close(tensor, states(tmp_path / "true")[name], rtol=1e-3, atol=1e-5)


def test_patience_counts_in_the_last_phase_alone(model: Callable[..., AutoencoderModule]) -> None:
    module = model(HALVES)
    module.row = {"SE/val": 1.0}
    stopping, trainer = EarlyStopping(patience=1), type("Trainer", (), {"should_stop": False})()

    for _ in range(3):
        stopping.on_train_epoch_end(trainer, module)
    assert not trainer.should_stop

    module.phase = module.phases[-1]
    for _ in range(2):
        stopping.on_train_epoch_end(trainer, module)
    assert trainer.should_stop


def test_a_run_in_phases_is_not_stacked(compose: Compose) -> None:
    cfg = settle(compose(*QUICK, HALVES))

    reason = why_not_stackable(cfg, build_model(cfg, build_data(cfg)))

    assert reason is not None
    assert "phases" in reason


def test_tensorboard_shows_the_phases(compose: Compose, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    overrides = [override for override in QUICK if override != "logger=minimal"]
    train(compose(*overrides, HALVES, "trainer.max_epochs=4"), tmp_path)

    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in events.Scalars("phase")] == [1, 1, 2, 2]
    words = [event.tensor_proto.string_val[0] for event in events.Tensors("phase/text_summary")]
    assert words == [b"1 of 2: encoder", b"2 of 2: decoder"]


FROZEN = """
import torch
from activae.models import MLPEncoder
class Frozen(MLPEncoder):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        torch.nn.init.constant_(self.layer1.weight, 0.01)
        self.layer1.requires_grad_(False)
"""


@pytest.mark.parametrize("init", ["fitted", "torch", "lsuv"])
@pytest.mark.parametrize("compiled", ["trainer.compile=false", "trainer.compile=true"])
def test_pretrained_weights_that_their_author_froze_are_kept(
    init: str,
    compiled: str,
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # which takes seconds
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "frozen_encoder.py").write_text(FROZEN)
    own = ("encoder._target_=frozen_encoder.Frozen", f"init={init}", compiled)

    train(compose(*QUICK, *own, "trainer.max_epochs=1", "optimizer=adamw"), tmp_path / "run")

    found = states(tmp_path / "run")
    assert torch.equal(found["net.encoder.layer1.weight"], torch.full((16, 64), 0.01))
    assert not torch.equal(found["net.encoder.layer2.weight"], torch.zeros(12, 16))
