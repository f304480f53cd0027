"""The keys of Lightning's Trainer under `trainer`: what each means here, or what does its work.

Those that are passed on or honoured stand in `activae.config.schema.TrainerConfig`; the table below
has the others, which a user may try first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from math import ceil, isfinite
from typing import Any

from activae.config.wording import is_count

_ALONE = "predict and test take no part in a run; score.test=false leaves the test split alone"
# What does the work of a key that is not taken.
INSTEAD = {
    "ckpt_path": "a run is continued by resume=RUN, its folder",
    "resume_from_checkpoint": "a run is continued by resume=RUN, its folder",
    "weights_only": "checkpoints hold tensors and primitives only, and are read so",
    "enable_progress_bar": "use logger.progress_bar=false",
    "enable_model_summary": "the log's line `model` is the summary",
    "enable_checkpointing": "a run always keeps its best and its last checkpoint, for resume=RUN",
    "barebones": "to measure speed: logger=minimal, or python -m benchmarks",
    "logger": "it is a group beside trainer: logger=tensorboard, logger=minimal",
    "callbacks": "they stand beside trainer: +callbacks.NAME._target_=MODULE.CLASS",
    "default_root_dir": "the folder of a run is hydra.run.dir=FOLDER, that of a sweep sweep=NAME",
    "overfit_batches": "use trainer.limit_train_batches=N, which takes so many batches an epoch; "
    "data.train_fraction=0.01 keeps the same samples",
    "val_check_interval": "the validation split is scored at the end of an epoch; "
    "trainer.check_val_every_n_epoch=N says of which",
    "num_sanity_val_steps": "data, network and loss are checked before the first step anyway",
    "limit_test_batches": _ALONE,
    "limit_predict_batches": _ALONE,
    "min_steps": "use trainer.min_epochs",
    "num_nodes": "a run trains on one machine; a sweep on many: hydra/launcher=slurm",
    "plugins": "there is no place for them; trainer.precision and trainer.strategy are what varies",
    "sync_batchnorm": "encoder.normalisation=layer does not depend on the batch",
    "use_distributed_sampler": "each device takes its share of every batch; see trainer=ddp",
    "reload_dataloaders_every_n_epochs": "batches are drawn anew in every epoch",
    "inference_mode": "scores are computed without gradients",
    "patience": "use trainer.early_stopping_patience",
    "gpus": "use trainer=gpu, or trainer=multi_gpu",
    "lr": "use optimizer.lr",
    "batch_size": "use data.batch_size",
}
_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}
_DEFAULTS = {
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "gradient_clip_algorithm": "norm",
}
_TIME = re.compile(r"(\d+):(\d+):(\d+):(\d+)")
_PARTS = ("weeks", "days", "hours", "minutes", "seconds")


def spelt_out(trainer: dict[str, Any], data: dict[str, Any]) -> None:
    """Put what Lightning's short forms stand for into the values of `trainer` and `data`.

    fast_dev_run=N is N steps, with N batches of validation. Gradients accumulated over N batches
    are those of a batch N times as large, for losses are means over samples; a number of batches
    that an epoch takes is then divided by N, rounded up. What a key does at its default is left
    out, so that the run is the same with and without it.
    """
    for key, default in _DEFAULTS.items():
        if trainer.get(key) == default:
            trainer[key] = None
    batches = trainer["accumulate_grad_batches"]
    if is_count(batches) and is_count(data.get("batch_size")):
        data["batch_size"] *= batches
        trainer["accumulate_grad_batches"] = None
        for key in ("limit_train_batches", "limit_val_batches"):
            if is_count(trainer[key]):
                trainer[key] = ceil(trainer[key] / batches)
    precision = str(trainer["precision"])
    trainer["precision"] = _PRECISIONS.get(precision, precision)
    steps = int(trainer["fast_dev_run"]) if is_dev_run(trainer["fast_dev_run"]) else 0
    if steps > 0:
        trainer.update(max_steps=steps, limit_val_batches=steps)
        trainer["fast_dev_run"] = False


def is_dev_run(value: Any) -> bool:
    """Whether trainer.fast_dev_run may have the value."""
    return isinstance(value, int) and value >= 0  # true is 1


def is_limit(value: Any) -> bool:
    """Whether it is a number of batches, or a share of them."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value >= 1
    return isinstance(value, float) and 0 < value <= 1


def is_time(value: Any) -> bool:
    """Whether trainer.max_time may have the value."""
    return (seconds_of(value) or 0) > 0


def seconds_of(value: Any) -> float | None:
    """The seconds of DD:HH:MM:SS, or of {hours: 1, minutes: 30}; None for what is neither."""
    if isinstance(value, Mapping):
        parts = dict(value)
        if not set(parts) <= set(_PARTS) or not all(map(_is_number, parts.values())):
            return None
        return timedelta(**{str(k): float(v) for k, v in parts.items()}).total_seconds()
    found = _TIME.fullmatch(str(value))
    if found is None:
        return None
    days, hours, minutes, seconds = map(int, found.groups())
    return timedelta(days, seconds, hours=hours, minutes=minutes).total_seconds()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
