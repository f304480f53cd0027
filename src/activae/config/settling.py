"""From a composed config to one that says everything and can work: filled in, resolved, checked."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from activae.config import trainer_keys
from activae.config.devices import ALL, STRATEGIES, device_faults, half_precision_faults
from activae.config.instantiating import faults, label, takes
from activae.config.messages import explain
from activae.config.migration import migrated
from activae.config.own_code import own_code
from activae.config.schema import VERSION, TrainConfig
from activae.config.trust import refuse_untrusted
from activae.config.wording import fits, home_expanded, shown
from activae.errors import ConfigError

CONFIG = "config.yaml"  # the settled config in a run's folder

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PROFILERS = ("simple", "advanced", "pytorch")
NORMALISATIONS = ("unit_range", "standardise", "none", "rms")

# Nodes that a run calls once it knows the data, and the group that fills each.
_FACTORIES = {
    "activation": "activation",
    "init": "init",
    "encoder": "encoder",
    "decoder": "decoder",
    "data.source": "data",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
}
# Those that may be null.
_PLACES = ("encoder.activation", "decoder.activation", "encoding.activation", "output.activation")


def settle(composed: DictConfig, trusted: Sequence[str] | None = None) -> DictConfig:
    """The config with every interpolation resolved and every default filled in, checked, read-only.

    trusted: for a config that a folder gave, the modules beside our own that it may name; all is
    checked before anything is imported. None: the user's own config, which may name any.
    Raises ConfigError with a line for each key at fault: the key, its value and what it may be.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(composed))
        _refuse(f"{key}: needs a value; give {key}=VALUE" for key in missing)
        values: Any = OmegaConf.to_container(composed, resolve=True)
        if trusted is not None:
            refuse_untrusted(values, trusted)
        values["race"] = {}  # says how a sweep goes on, and nothing of a run
        _expand_home(values["data"])
        trainer_keys.spelt_out(values["trainer"], values["data"])
        if values.get("init_from"):
            values["init_from"] = home_expanded(values["init_from"])
        _refuse(_misplaced(values))
        _refuse(faults(values, ""))
        for half in (values["encoder"], values["decoder"]):
            if half.get("activation") is None and takes(half, "activation"):
                half["activation"] = values["activation"]
        # A saved config keeps the code that its run was started with.
        code = values.get("own_code") or own_code({**values, "logger": None, "sampler": None})
        settled = OmegaConf.unsafe_merge(_schema(), {**values, "own_code": code})
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from error
    assert isinstance(settled, DictConfig)
    _refuse(_out_of_range(settled))
    OmegaConf.set_readonly(settled, True)
    return settled


def sampler_kind(settled: Mapping[str, Any] | DictConfig) -> str | None:
    """The name of the sampler that a config asks for; None where it asks for none."""
    node = settled.get("sampler") or {}
    kind = str(node.get("_target_", "none")).rpartition(".")[2]
    return None if kind == "none" else kind


def from_values(settled: dict[str, Any]) -> DictConfig:
    """The config that `settle` made, from its plain dicts and lists, as it is: they are checked."""
    cfg = OmegaConf.create(settled)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def _schema() -> DictConfig:
    """The schema as a config of the caller's own, to merge into."""
    schema: DictConfig = pickle.loads(_pickled_schema())
    return schema


@cache
def _pickled_schema() -> bytes:
    """Quicker to read again than the schema is to make or to copy."""
    return pickle.dumps(OmegaConf.structured(TrainConfig))


def read(file: Path) -> DictConfig:
    """The config saved in a run's folder, in today's form.

    Raises ConfigError where the file is damaged or a newer version wrote it.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.load(file))
        if not isinstance(values, dict):
            raise ConfigError(f"{file}: cannot be read as a config: it holds no keys")
        _refuse(f"{file}: {fault}" for fault in _interpolations(values, ""))
        saved = OmegaConf.unsafe_merge(_schema(), migrated(values, file))  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        raise ConfigError(f"{file}: {explain(error)}") from error
    except (YAMLError, OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: cannot be read as a config: {error}") from error
    missing = OmegaConf.missing_keys(saved)
    if missing:
        raise ConfigError(f"{file}: is damaged: it lacks {', '.join(sorted(missing))}")
    assert isinstance(saved, DictConfig)
    return saved


def _interpolations(node: Any, key: str) -> Iterator[str]:
    """A line for each value that stands for another: once resolved it could name anything."""
    if isinstance(node, (dict, list)):
        for name, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _interpolations(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(node, str) and "${" in node:
        yield f"{key}={node!r}: a saved config holds values, not interpolations; write the value"


def container(node: Any) -> Any:
    """A node as plain dicts, lists and scalars."""
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _refuse(problems: Iterator[str]) -> None:
    lines = list(problems)
    if lines:
        raise ConfigError("\n".join(lines))


def _expand_home(node: Any) -> None:
    """Put the home folder for the ~ of a data set's paths."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in ("path", "root") and isinstance(value, str):
            node[key] = home_expanded(value)
        _expand_home(value)


def _unread_path(data: dict[str, Any]) -> Iterator[str]:
    """A line where a file is named and the data set reads none."""
    path, source = data.get("path"), data.get("source")
    if path is not None and isinstance(source, Mapping) and path not in source.values():
        yield (
            f"data.path={shown(path)}: data={data['name']} reads no file of yours; add data=array, "
            "or data=tabular, image_folder, text, h5ad: what reads yours"
        )


def _misplaced(values: dict[str, Any]) -> Iterator[str]:
    """A line for each node that should describe a factory and does not, or is read by nothing."""
    yield from _unread_path(values["data"])
    if values.get("lr") is not None:  # activae.config.rates, which commands go through
        yield f"lr={shown(values['lr'])}: is for commands; give optimizer.lr here"
    for key, group in _FACTORIES.items():
        yield from _not_a_factory(key, group, _select(values, key))
    for key in _PLACES:
        node = _select(values, key)
        if node is not None:
            yield from _not_a_factory(key, f"activation@{key}", node)
    for key in ("corruption", "latent", "phases", "sampler"):  # null in the configs of older runs
        if values[key] is not None:
            yield from _not_a_factory(key, key, values[key])
    for name, node in values["regulariser"].items():
        if not isinstance(node, Mapping) or "_target_" not in node:
            yield f"regulariser.{name}={shown(node)}: has no _target_; see configs/regulariser"
    yield from _loggers(values["logger"]["others"])
    if sampler_kind(values) == "flow" and find_spec("zuko") is None:
        yield "sampler=flow: needs zuko: pip install 'activae[flows]'"
    objective = values["objective"]
    if not isinstance(objective, Mapping) or "_target_" not in objective:
        yield f"objective={shown(objective)}: has no _target_; choose one with objective=NAME"


_NEEDED = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}


def _loggers(others: dict[str, Any]) -> Iterator[str]:
    """A line for each logger that cannot be made: told before a sweep starts, not by each run."""
    for name, node in others.items():
        if not isinstance(node, Mapping) or "_target_" not in node:
            yield (
                f"logger.others.{name}={shown(node)}: has no _target_; give one, as "
                f"+logger.others.{name}._target_=my_module.MyLogger"
            )
            continue
        package = _NEEDED.get(str(node["_target_"]).rpartition(".")[2])
        if package is not None and find_spec(package) is None:
            yield f"logger={name}: needs {package}: pip install 'activae[{package}]'"


def _not_a_factory(key: str, group: str, node: Any) -> Iterator[str]:
    if not isinstance(node, Mapping) or "_target_" not in node:
        option = node if isinstance(node, str) else "NAME"
        yield f"{key}={shown(node)}: has no _target_; choose an option with {group}={option}"
    elif node.get("_partial_") is not True:
        yield f"{key}._partial_: must be true, because a run calls {label(node)} later"


def _select(values: dict[str, Any], key: str) -> Any:
    node: Any = values
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _out_of_range(cfg: DictConfig) -> Iterator[str]:
    for key, wanted, accepts in _RANGES:
        value = OmegaConf.select(cfg, key)
        if value is not None and not accepts(value):
            yield f"{key}={shown(value)}: must be {wanted}"
    lr = cfg.optimizer.get("lr", 1.0)
    if not (fits(lr, float) and lr > 0 and isfinite(lr)):
        yield f"optimizer.lr={lr}: must be a number greater than 0"
    decay = cfg.optimizer.get("weight_decay", 0.0)
    if not (fits(decay, float) and decay >= 0 and isfinite(decay)):
        yield f"optimizer.weight_decay={decay}: must be 0 or a positive number"
    if cfg.trainer.gradient_clip_algorithm == "value" and cfg.trainer.gradient_clip_val is None:
        yield (
            "trainer.gradient_clip_algorithm=value: clips nothing without a limit; add "
            "trainer.gradient_clip_val=0.5, or leave it out"
        )
    if not _is_there(cfg.trainer.accelerator):
        wanted = {"cuda": "no CUDA here", "mps": "no MPS of Apple's here"}.get(
            cfg.trainer.accelerator, "no GPU here (neither CUDA nor Apple's MPS)"
        )
        yield (
            f"trainer.accelerator={cfg.trainer.accelerator}: torch finds {wanted}; "
            "trainer=auto takes one where there is one, trainer=cpu never"
        )
    if cfg.trainer.precision == "64-true" and cfg.trainer.accelerator != "cpu" and _only_mps():
        yield "trainer.precision=64-true: Apple's MPS knows no float64; add trainer=cpu"
    if cfg.trainer.precision == "16-mixed":
        yield from half_precision_faults(cfg.trainer)
    if _is_count(cfg.trainer.devices):
        yield from device_faults(cfg)


def _is_count(devices: int) -> bool:
    return devices >= 1 or devices == ALL


def _is_there(accelerator: str) -> bool:
    """Whether torch finds the kind of GPU, if it is one."""
    if accelerator not in ("gpu", "cuda", "mps"):
        return True
    import torch  # here, so that composing a config does without

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return any(found.values()) if accelerator == "gpu" else found[accelerator]


def _only_mps() -> bool:
    import torch

    return torch.backends.mps.is_available() and not torch.cuda.is_available()


def _one_of(choices: tuple[str, ...]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(choices)}", lambda value: value in choices


_SEED = ("a whole number from 0 to 2**63 - 1", lambda v: 0 <= v < 2**63)
_POSITIVE_INT = ("a whole number of 1 or more", lambda v: v >= 1)
_NOT_NEGATIVE = ("a whole number of 0 or more", lambda v: v >= 0)
_POSITIVE = ("a number greater than 0", lambda v: isfinite(v) and v > 0)
_SHARE = ("greater than 0 and less than 1", lambda v: 0 < v < 1)
_WHOLE_SHARE = ("greater than 0 and at most 1", lambda v: 0 < v <= 1)

_LIMIT = (
    "a number of batches, or a share of them as 0.1",
    trainer_keys.is_limit,
)

_RANGES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("version", f"{VERSION}, the form that this activae writes; leave it out", VERSION.__eq__),
    ("seed", *_SEED),
    ("data.split_seed", *_SEED),
    ("encoding.dim", *_POSITIVE_INT),
    ("data.batch_size", *_POSITIVE_INT),
    ("data.train_fraction", *_WHOLE_SHARE),
    ("data.val_fraction", *_SHARE),
    ("data.test_fraction", *_SHARE),
    ("data.normalisation", *_one_of(NORMALISATIONS)),
    ("trainer.max_epochs", *_POSITIVE_INT),
    ("trainer.max_steps", *_POSITIVE_INT),
    ("trainer.gradient_clip_val", *_POSITIVE),
    ("trainer.gradient_clip_algorithm", *_one_of(("norm", "value"))),
    ("trainer.accumulate_grad_batches", *_POSITIVE_INT),
    ("trainer.early_stopping_patience", *_POSITIVE_INT),
    ("trainer.threads", *_POSITIVE_INT),
    ("trainer.accelerator", *_one_of(ACCELERATORS)),
    ("trainer.strategy", *_one_of(STRATEGIES)),
    ("trainer.devices", "a whole number of 1 or more, or -1 for all GPUs", _is_count),
    ("trainer.precision", *_one_of(PRECISIONS)),
    ("trainer.limit_train_batches", *_LIMIT),
    ("trainer.limit_val_batches", *_LIMIT),
    ("trainer.check_val_every_n_epoch", *_POSITIVE_INT),
    ("trainer.fast_dev_run", "true, false or a number of steps", trainer_keys.is_dev_run),
    ("trainer.min_epochs", *_POSITIVE_INT),
    (
        "trainer.max_time",
        "as 00:01:30:00, which is days, hours, minutes and seconds, or {hours: 1, minutes: 30}",
        trainer_keys.is_time,
    ),
    ("trainer.log_every_n_steps", *_NOT_NEGATIVE),
    ("trainer.deterministic", "true, false or warn", (True, False, "warn").__contains__),
    ("trainer.profiler", *_one_of(PROFILERS)),
    ("sampler.components", *_POSITIVE_INT),
    ("sampler.transforms", *_POSITIVE_INT),
    (
        "sampler.hidden",
        "a list of whole numbers of 1 or more",
        lambda widths: bool(widths) and all(width >= 1 for width in widths),
    ),
    ("score.nll_samples", *_POSITIVE_INT),
    ("freeze", "encoder, decoder or null", ("encoder", "decoder").__contains__),
    ("logger.snapshots", *_NOT_NEGATIVE),
    ("logger.images", *_NOT_NEGATIVE),
    ("logger.projector_samples", *_NOT_NEGATIVE),
]
