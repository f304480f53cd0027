"""Which options a config was composed of: `activation: gelu`, and not its class alone.

They name things for people and change nothing: two configs that differ in them are one.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from activae.config.names import place_of


def note_choices(config: DictConfig, hydra: Any) -> None:
    """Put the chosen options into a composed config, by the place that each fills.

    hydra: what composed it. The option of activation@encoder.activation is at encoder.activation.
    """
    chosen: Any = OmegaConf.to_container(hydra.runtime.choices)
    found: dict[str, list[str]] = {}
    for group, option in chosen.items():
        if option is not None and not group.startswith("hydra/"):
            found.setdefault(place_of(group), []).append(option)
    with open_dict(config):  # experiment=a with +experiment@_global_=b is two of them
        config.choices = {place: ", ".join(reversed(each)) for place, each in found.items()}
