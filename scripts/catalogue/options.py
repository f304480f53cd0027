"""What configs/activation offers, found by a glob; what it says of each option stands in its yaml.

The first comment line is `# Name: formula. Remark.`, the second `# Source: paper. Gain: 1.2345.`;
a comment behind a parameter says what it means.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn
from yaml import YAMLError

from activae.config.instantiating import build, call, faults, locate
from activae.config.settling import container
from activae.config.wording import did_you_mean
from activae.errors import ConfigError

_KEY = "activation"
_TITLE = re.compile(r"# (?P<title>[^:]+): (?P<formula>.+?)\.( (?P<remark>.+))?")
_SOURCE = re.compile(r"# Source: (?P<source>.+)\. Gain: (?P<gain>\d+\.\d{4})\.")
_PARAMETER = re.compile(r"(?P<name>\w+): (?P<default>.*?)(\s+# (?P<meaning>.*))?")


@dataclass(frozen=True)
class Parameter:
    """One key of an option: its value in the yaml, as written there, and what it means."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """One yaml. What its comments don't say, or say in another form, is an empty string."""

    name: str
    title: str
    formula: str
    remark: str
    source: str
    stated_gain: str
    parameters: tuple[Parameter, ...]
    node: Mapping[str, Any]

    @property
    def missing(self) -> list[str]:
        """The keys that are left to the user, without which there is nothing to build."""
        return [key for key, value in self.node.items() if value == "???"]

    def make(self, **parameters: Any) -> nn.Module:
        """Build an instance, with other parameters where given. Raises ConfigError."""
        node = {**self.node, **parameters}
        for fault in faults(node, f"{_KEY}={self.name}"):
            raise ConfigError(fault)
        key = f"{_KEY}={self.name}"
        module: nn.Module = call(build(node, key), key)
        return module

    @property
    def notes(self) -> list[str]:
        """The paragraphs about f in the docstring of a class of this project's, or the remark."""
        path = str(self.node["_target_"])
        if not path.startswith("activae."):
            return [self.remark] if self.remark else []
        text = inspect.getdoc(locate(path, f"{_KEY}={self.name}")) or ""
        _, *paragraphs = text.split("\n\n")
        about = [" ".join(p.split()) for p in paragraphs if not p.startswith("Raises")]
        return [re.sub(r"\s*Gain \d\.\d+[^.]*\.", "", paragraph) for paragraph in about]


def read_options(folder: Path) -> dict[str, Option]:
    """Return every option of a folder such as configs/activation, by name, in order.

    Raises ConfigError if there is none, or one that is no mapping with a `_target_`.
    """
    options = {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}
    if not options:
        raise ConfigError(f"{folder}: holds no yaml; give the folder of the activations' configs")
    return options


def choose(options: Mapping[str, Option], names: Sequence[str]) -> dict[str, Option]:
    """Return the options of these names, or all. Raises ConfigError for a name of none."""
    for name in names:
        if name not in options:
            raise ConfigError(
                f"{_KEY}={name}: there is no such option. {did_you_mean(name, list(options))}"
                f"There are {', '.join(options)}"
            )
    return {name: options[name] for name in names or options}


def _read(path: Path) -> Option:
    text = path.read_text(encoding="utf-8")
    try:
        node = container(OmegaConf.create(text))
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{path}: has no _target_, so that it describes no activation")
    lines = text.splitlines()
    title, source = _TITLE.fullmatch(lines[0]), _SOURCE.fullmatch("".join(lines[1:2]))
    return Option(
        name=path.stem,
        title=title["title"] if title else path.stem,
        formula=title["formula"] if title else "",
        remark=(title["remark"] if title else None) or "",
        source=source["source"] if source else "",
        stated_gain=source["gain"] if source else "",
        parameters=tuple(
            Parameter(found["name"], found["default"], found["meaning"] or "")
            for found in map(_PARAMETER.fullmatch, lines)
            if found and not found["name"].startswith("_")
        ),
        node=node,
    )
