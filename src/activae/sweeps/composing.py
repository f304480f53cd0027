"""The configs of a sweep's jobs, as Hydra composes them but in a fraction of its time.

Hydra reads every yaml again for each job, 0.1 s and more. Jobs that choose the same options and
differ in values alone (`seed=3`, `optimizer.lr=0.01`) are composed once, and the values set after.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

Structure = tuple[str, ...]


def compose_jobs(
    loader: ConfigLoader, master: DictConfig, overrides: Sequence[Sequence[str]], first: int
) -> Iterator[DictConfig]:
    """The config of each job, `hydra` node and all; jobs are numbered from `first`.

    Raises what Hydra raises for an override it does not know.
    """
    parser = OverridesParser.create(config_loader=loader)
    is_value = _ValueOverrides(loader)
    composed: dict[Structure, bytes] = {}  # pickled, which is the quickest way to copy one
    for number, lines in enumerate(overrides, start=first):
        parsed = parser.parse_overrides(list(lines))
        structure = tuple(
            str(override.key_or_group) if is_value(override) else str(override.input_line)
            for override in parsed
        )
        if structure in composed:
            config = _with_values(composed[structure], parsed, is_value)
        else:
            config = loader.load_sweep_config(master, list(lines))
            composed[structure] = pickle.dumps(config)
        with open_dict(config):
            config.hydra.job.id = number
            config.hydra.job.num = number
            config.hydra.sweep.dir = master.hydra.sweep.dir
        yield config


class _ValueOverrides:
    """Tells the overrides that set a value from those that choose an option or change keys."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader
        self._is_group: dict[str, bool] = {}

    def __call__(self, override: Override) -> bool:
        key = override.key_or_group
        if override.is_delete() or override.is_add() or override.is_force_add():
            return False
        if override.package is not None or "/" in key or key.split(".")[0] == "hydra":
            return False
        if key not in self._is_group:
            self._is_group[key] = bool(self.loader.get_group_options(key))
        return not self._is_group[key]


def _with_values(
    similar: bytes, overrides: Sequence[Override], is_value: _ValueOverrides
) -> DictConfig:
    """A copy of a config with other values, and with the record of who set them."""
    config: DictConfig = pickle.loads(similar)
    for override in overrides:
        if is_value(override):
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    record = config.hydra
    names = record.job.config.override_dirname
    ours = [override for override in overrides if not override.is_hydra_override()]
    with open_dict(config):
        record.overrides.task = [override.input_line for override in ours]
        record.job.override_dirname = _dirname(
            ours, names.kv_sep, names.item_sep, names.exclude_keys
        )
    return config


def _dirname(
    overrides: Sequence[Override], between: str, separator: str, excluded: Sequence[str]
) -> str:
    """What Hydra calls `hydra.job.override_dirname`."""
    lines = [str(o.input_line) for o in overrides if o.key_or_group not in excluded]
    return separator.join(sorted(lines)).replace("=", between)
