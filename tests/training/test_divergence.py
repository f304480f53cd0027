"""A loss that is no longer finite ends the run, says where it began, and keeps what was finite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from activae.errors import UserError
from activae.results import run as training
from activae.results.run import TrainingDiverged, train
from activae.results.run_folder import CONFIG, DONE, METRICS
from activae.training import checkpoint
from activae.training.checkpoint import BEST, LAST, load_checkpoint
from activae.training.module import AutoencoderModule

Compose = Callable[..., DictConfig]

# 4 steps an epoch.
SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=6",
    "encoding=dim32",
    "scheduler=constant",
    "activation@output.activation=identity",
)


@pytest.fixture
def diverge(compose: Compose, tmp_path: Path) -> Callable[..., str]:
    """Trains SMALL with overrides in tmp_path; returns the message it ends with."""

    def run(*overrides: str) -> str:
        with pytest.raises(TrainingDiverged) as caught:
            train(compose(*SMALL, *overrides), tmp_path)
        assert isinstance(caught.value, UserError)
        return str(caught.value)

    return run


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[..., None]], None]:
    """`at_step(n, damage)` calls damage(model) just before step n (counted from 0) is taken."""

    def arrange(number: int, damage: Callable[..., None]) -> None:
        def build(*args: Any) -> AutoencoderModule:
            model = build_model(*args)
            schedule = model.schedule

            def watched(step: int, total_steps: int) -> float:
                if step == number:
                    damage(model)
                return schedule(step, total_steps)

            model.schedule = watched
            return model

        build_model = training.build_model
        monkeypatch.setattr(training, "build_model", build)

    return arrange


def all_finite(path: Path) -> bool:
    return all(tensor.isfinite().all() for tensor in load_checkpoint(path)["state_dict"].values())


def test_a_learning_rate_far_too_high_ends_the_run(
    diverge: Callable[..., str], tmp_path: Path
) -> None:
    message = diverge("optimizer=sgd", "optimizer.lr=1e30")

    found = json.loads((tmp_path / METRICS).read_text())
    assert found["status"] == "diverged"
    assert f"at step {found['step']};" in message
    assert found["where"] in message
    assert "optimizer.lr=1e+29" in message
    assert "trainer.gradient_clip_val=1" in message
    assert str(tmp_path / LAST) in message
    assert (tmp_path / DONE).read_text() == "diverged\n"


def test_in_the_first_epoch_the_initial_state_is_kept(
    diverge: Callable[..., str], tmp_path: Path
) -> None:
    message = diverge("optimizer=sgd", "optimizer.lr=1e30")

    assert "(step 0)" in message
    assert load_checkpoint(tmp_path / LAST)["global_step"] == 0
    assert all_finite(tmp_path / LAST)
    assert not (tmp_path / BEST).exists()


@pytest.mark.parametrize("seconds_between_writes", [-1.0, 1000.0])
def test_later_the_last_finite_epoch_and_the_best_are_kept(
    seconds_between_writes: float,
    diverge: Callable[..., str],
    at_step: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", seconds_between_writes)

    def break_a_weight(model: AutoencoderModule) -> None:
        with torch.no_grad():
            model.net.decoder.get_parameter("layer2.weight")[0, 0] = torch.nan

    at_step(10, break_a_weight)
    message = diverge()

    assert "not finite at step 10;" in message
    assert load_checkpoint(tmp_path / LAST)["global_step"] == 8
    assert load_checkpoint(tmp_path / BEST)["global_step"] == 8
    assert all_finite(tmp_path / LAST)
    assert all_finite(tmp_path / BEST)


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_the_layer_whose_output_overflows_first_is_named(
    half: str, diverge: Callable[..., str], tmp_path: Path
) -> None:
    # exp(x^3) overflows float32 from x = 4.5 on.
    (tmp_path / "towering.py").write_text(
        "import torch\n\ndef tower(x):\n    return torch.exp(x**3) - 1\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        message = diverge(
            "init=torch",
            f"activation@{half}.activation=custom",
            f"{half}.activation.function=towering.tower",
            "optimizer=sgd",
            "optimizer.lr=1e4",
        )

    assert f"the output of {half}.activation" in message


def test_a_gradient_that_is_not_finite_is_named_before_what_it_breaks(
    diverge: Callable[..., str], tmp_path: Path
) -> None:
    # 0 where x > 3, with the slope of sqrt at 0, infinite, times 0: not a number.
    (tmp_path / "steep.py").write_text("def root(x):\n    return ((3 - x) * (x < 3)).sqrt()\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        message = diverge(
            "data.normalisation=standardise",
            "activation@decoder.activation=custom",
            "decoder.activation.function=steep.root",
        )

    assert "the gradient of decoder.layer2.bias, at step 0, is the first" in message


def test_noise_in_training_is_replayed_as_it_was(
    diverge: Callable[..., str], tmp_path: Path
) -> None:
    # One output in 50,000 is infinite: only the same random numbers lead to the same one.
    (tmp_path / "rare.py").write_text(
        "import torch\n\n"
        "class Rare(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        if not self.training:\n"
        "            return torch.tanh(x)\n"
        "        return torch.tanh(x) / (torch.rand_like(x) > 2e-5)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        message = diverge(
            "activation@encoder.activation=custom", "encoder.activation.function=rare.Rare"
        )

    step = json.loads((tmp_path / METRICS).read_text())["step"]
    # The next activation makes a finite number of it, but its gradient is none.
    assert step > 1
    assert "the output of encoder.activation1" in message
    assert f"at step {step - 1}, is the first that is not finite" in message


def test_what_breaks_in_validation_alone_is_found(
    compose: Compose, diverge: Callable[..., str], tmp_path: Path
) -> None:
    """A sample far outside the training data, squared, overflows although its value is finite."""
    values = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    data = ("data=array", f"data.path='{tmp_path / 'mine.npy'}'", "data.normalisation=none")
    np.save(tmp_path / "mine.npy", values)
    val = _validation_row(compose(*SMALL, *data), values)
    values[val] = 3e25
    np.save(tmp_path / "mine.npy", values)

    message = diverge(*data, "data.train_fraction=1", "data.batch_size=16")

    assert "not finite at step 3;" in message
    assert "the loss (of reconstructions that are finite), at step 3," in message
    assert load_checkpoint(tmp_path / LAST)["global_step"] == 0


def _validation_row(cfg: DictConfig, values: np.ndarray) -> int:
    """Which sample the split puts into the validation part."""
    from activae.config.settling import settle
    from activae.training.assembly import build_data

    data = build_data(settle(cfg))
    return int(np.flatnonzero((values == data.samples["val"][0].numpy()).all(1))[0])


def test_a_resumed_run_that_diverges_keeps_the_state_it_was_resumed_with(
    compose: Compose, diverge: Callable[..., str], tmp_path: Path
) -> None:
    train(compose(*SMALL, "trainer.max_epochs=2"), tmp_path)
    last = load_checkpoint(tmp_path / LAST)
    last["finished"] = False
    last["optimizer_states"][0]["param_groups"][0]["initial_lr"] = 1e30
    torch.save(last, tmp_path / LAST)
    for record in (DONE, CONFIG):
        (tmp_path / record).unlink()

    diverge()

    assert load_checkpoint(tmp_path / LAST)["global_step"] == 8
    assert all_finite(tmp_path / LAST)


def test_anomaly_detection_ends_in_the_same_message(
    diverge: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="Error detected in"):
        message = diverge("trainer=debug", "optimizer=sgd", "optimizer.lr=1e30")

    assert "is the first that is not finite" in message
    assert (tmp_path / DONE).read_text() == "diverged\n"


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_are_replayed_too(
    precision: str, diverge: Callable[..., str], at_step: Callable[..., None]
) -> None:
    message = diverge("optimizer=sgd", "optimizer.lr=1e200", f"trainer.precision={precision}")

    assert "is the first that is not finite" in message


@pytest.mark.parametrize("search", ["strong_wolfe", "null"])
def test_steps_that_search_are_replayed_too(search: str, diverge: Callable[..., str]) -> None:
    message = diverge("optimizer=lbfgs", "optimizer.lr=1e30", f"optimizer.line_search_fn={search}")

    assert "is the first that is not finite" in message


def test_a_fault_that_does_not_repeat_is_said_not_to(
    diverge: Callable[..., str], at_step: Callable[..., None]
) -> None:
    def lose_a_bit(model: AutoencoderModule) -> None:
        if model.step == 5 and model.trainer.training:
            model.schedule = lambda step, total_steps: 1.0  # the replay is not disturbed
            with torch.no_grad():
                next(model.net.parameters()).fill_(torch.inf)

    at_step(5, lose_a_bit)

    assert "repeated on the CPU, these steps stay finite" in diverge()


def test_an_optimizer_whose_learning_rate_is_its_own_default_has_advice_too(
    diverge: Callable[..., str], at_step: Callable[..., None]
) -> None:
    def break_a_weight(model: AutoencoderModule) -> None:
        with torch.no_grad():
            next(model.net.parameters()).fill_(torch.nan)

    at_step(1, break_a_weight)

    assert "Try a smaller learning rate or trainer.gradient_clip_val=1" in diverge("~optimizer.lr")
