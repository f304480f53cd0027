"""Which options a config was composed of: `activation: gelu`, and not its class alone.

They name things for people and change nothing: two configs that differ in them are one.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict


def note_choices(config: DictConfig, hydra: Any) -> None:
    """Put the chosen options into a composed config, by the place that each fills.

    hydra: what composed it. The option of activation@encoder.activation is at encoder.activation.
    """
    chosen: Any = OmegaConf.to_container(hydra.runtime.choices)
    with open_dict(config):
        config.choices = {
            group.rpartition("@")[2]: option
            for group, option in chosen.items()
            if option is not None and not group.startswith("hydra/")
        }
