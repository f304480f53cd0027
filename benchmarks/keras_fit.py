"""The article's own way: Keras `fit`, TensorFlow below it. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from benchmarks.laps import Laps
from benchmarks.workload import CODE_LAYER, WIDTHS, WORKLOADS, Task, training_samples


def fit(task: Task, laps: Laps) -> None:
    """Fit the article's model in one fit that never ends, silently: its progress bar costs more."""
    workload = WORKLOADS[task.workload]
    samples = training_samples(workload, Path(task.data_root))
    model = article_model()
    model.fit(
        samples,
        samples,
        epochs=1_000_000,
        batch_size=workload.batch_size,
        verbose=0,
        callbacks=[_KerasLaps(laps, task)],
    )


def article_model() -> keras.Model:
    """The article's network, compiled as it compiles it."""
    x = inputs = keras.Input((WIDTHS[0],))
    last = len(WIDTHS) - 1
    for number, units in enumerate(WIDTHS[1:], start=1):
        activation = {CODE_LAYER: None, last: "sigmoid"}.get(number, "relu")
        x = keras.layers.Dense(units, activation=activation)(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss="mse")
    return model


class _KerasLaps(keras.callbacks.Callback):
    """Ends a lap every few epochs."""

    def __init__(self, laps: Laps, task: Task) -> None:
        super().__init__()
        self.laps = laps
        self.task = task

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock: what fit sets up once is no part of a step."""
        self.laps.begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """End the lap if it has had its epochs."""
        if (epoch + 1) % self.task.epochs == 0:
            self.laps.end(self.task.steps)
