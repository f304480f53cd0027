"""The typed shape of a config. Imports no torch, so that composing and `--help` are quick.

Nodes typed `Any` hold a `_target_` and its keyword parameters; `activae.config.instantiating`
checks those against the target's own signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

# Of the config's form: raised, with a step in activae.config.migration, where a key or a `_target_`
# moves, so that the folders of older versions can still be opened.
VERSION = 2


@dataclass
class EncodingConfig:
    """The code: its number of dimensions, and its activation (null: linear)."""

    dim: int = MISSING
    activation: Any = None


@dataclass
class OutputConfig:
    """The activation of the output layer.

    null: what the objective needs, otherwise a sigmoid for data in [0, 1] and linear for others.
    """

    activation: Any = None


@dataclass
class DataConfig:
    """A data set, how it is split and normalised, and how many samples make a batch."""

    name: str = MISSING
    source: Any = MISSING
    root: str = "data"
    path: str | None = None
    batch_size: int = MISSING
    normalisation: str = MISSING
    train_fraction: float = 1.0
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = 0
    value_range: list[float] | None = None


@dataclass
class TrainerConfig:
    """How long and on what to train; names are those of Lightning's Trainer where it has them.

    precision: 32-true, bf16-mixed (its accuracy: configs/trainer/auto.yaml), 16-mixed (one NVIDIA
        GPU) or 64-true.
    limit_*_batches: an epoch takes so many batches, or such a share of them, of a new order each;
    of val always the first. max_time: DD:HH:MM:SS of training, then the epoch is the last.
    min_epochs: before which neither time nor patience ends the run. profiler: simple, advanced or
    pytorch, written to the run's folder. check_val_every_n_epoch: after how many epochs the splits
    are scored, a row of the history written and the best checkpoint chosen; patience counts these.
    What other keys of the Trainer's are: activae.config.trainer_keys.
    """

    accelerator: str = "auto"
    strategy: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    max_epochs: int = 50
    max_steps: int | None = None
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None
    accumulate_grad_batches: int | None = None
    early_stopping_patience: int | None = None
    detect_anomaly: bool = False
    compile: bool = False
    threads: int | None = None
    limit_train_batches: Any = None
    limit_val_batches: Any = None
    check_val_every_n_epoch: int | None = None
    fast_dev_run: Any = False
    min_epochs: int | None = None
    max_time: Any = None
    log_every_n_steps: int | None = None
    deterministic: Any = None
    benchmark: bool | None = None
    profiler: str | None = None


@dataclass
class LoggerConfig:
    """What is written while training; pictures and histograms `snapshots` times a run.

    snapshots: null: 10 times in a run by itself, twice in a run of a sweep. others:
    loggers beside TensorBoard's, a name and a `_target_` each.
    """

    tensorboard: bool = False
    snapshots: int | None = None
    images: int = 16
    projector_samples: int = 1000
    progress_bar: bool = True
    others: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScoreConfig:
    """On what the finished run is scored, beside the training and the validation split.

    test: false for runs that tune, which must not see the test split. probe: also how well labels
    can be told from the code, which needs data with labels. nll: also the likelihood in nats, by so
    many codes of each sample (nll_samples); needs latent=gaussian and an objective that is one.
    samples: also how good new samples are, by the run's sampler, beside real ones and
    reconstructions.
    """

    test: bool = True
    probe: bool = False
    nll: bool = False
    nll_samples: int = 5000
    samples: bool = False


@dataclass
class TrainConfig:
    """Everything `python train.py` takes; `version` says in which form it was written down.

    init_from: the folder of a run whose weights this one starts from, with the data's own
    normalisation; freeze: the half that keeps its weights, encoder or decoder.
    choices: the groups' options that were chosen, by their place (config.choices).
    own_code: hashes of what a settled config names outside of libraries (config.own_code).
    """

    version: int = VERSION
    seed: int = 0
    activation: Any = MISSING
    init: Any = MISSING
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    latent: Any = None
    encoder: Any = MISSING
    decoder: Any = MISSING
    output: OutputConfig = field(default_factory=OutputConfig)
    objective: Any = MISSING
    regulariser: dict[str, Any] = field(default_factory=dict)
    corruption: Any = None
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    phases: Any = None
    sampler: Any = None
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    callbacks: dict[str, Any] = field(default_factory=dict)
    race: dict[str, Any] = field(default_factory=dict)  # of a sweep that is one
    lr: Any = None  # put at optimizer.lr before a config is settled: activae.config.rates
    init_from: str | None = None
    freeze: str | None = None
    sweep: str | None = None
    resume: str | None = None
    trusted_modules: list[str] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)
    own_code: list[str] = field(default_factory=list)


_NAMES_OF_OURS = {"launcher": ("ray", "submitit_local"), "sweeper": ("optuna",)}


def register() -> None:
    """Make the schema known to Hydra under the name that configs/train.yaml starts from.

    Hydra checks a yaml against what a plugin has registered under its name: Hydra's own plugins for
    submitit, ray and optuna do that where they are installed, but ours have other options.
    """
    # Here, because a finished run is put to use without Hydra.
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    Plugins.instance()  # registers what plugins bring along
    for kind, names in _NAMES_OF_OURS.items():
        for name in names:
            store.repo.get("hydra", {}).get(kind, {}).pop(f"{name}.yaml", None)
