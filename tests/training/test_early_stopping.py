"""When a run is ended for lack of improvement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from activae.training import early_stopping
from activae.training.early_stopping import EarlyStopping


@pytest.fixture(autouse=True)
def any_module_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_stopping, "AutoencoderModule", SimpleNamespace)


def epochs_until_stop(callback: Any, scores: list[float]) -> int | None:
    """After how many epochs with these scores the callback asks to stop; None if it never does."""
    trainer: Any = SimpleNamespace(should_stop=False)
    for count, score in enumerate(scores, start=1):
        model: Any = SimpleNamespace(epoch=0, row={"SE/val": score}, phase="only", phases=["only"])
        callback.on_train_epoch_end(trainer, model)
        if trainer.should_stop:
            return count
    return None


def test_it_waits_for_so_many_epochs_in_a_row() -> None:
    assert epochs_until_stop(EarlyStopping(2), [3, 2, 2.5, 1, 1.5, 1.2, 0.5]) == 6


def test_an_epoch_as_good_as_the_best_is_no_improvement() -> None:
    assert epochs_until_stop(EarlyStopping(1), [1.0, 1.0]) == 2


def test_improvements_start_the_count_again() -> None:
    assert epochs_until_stop(EarlyStopping(2), [5, 6, 4, 5, 3, 4, 2]) is None


def test_a_resumed_run_goes_on_counting() -> None:
    first, second = EarlyStopping(3), EarlyStopping(3)
    assert epochs_until_stop(first, [1, 2, 2]) is None

    second.load_state_dict(first.state_dict())

    assert epochs_until_stop(second, [1.5]) == 1
