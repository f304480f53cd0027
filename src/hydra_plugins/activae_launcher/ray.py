"""`hydra/launcher=ray`: the tasks of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from ._base import SweepLauncher

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


class RayLauncher(SweepLauncher):
    """Trains a share of the sweep in each of several Ray tasks."""

    def __init__(
        self,
        init: Any,
        tasks: int | None,
        num_cpus: int,
        num_gpus: float | None,
        compile: bool | None,
    ) -> None:
        self.init = init
        self.tasks = tasks
        self.num_cpus = num_cpus
        self.num_gpus = num_gpus
        self.compile = compile

    def engine(self) -> Engine:
        """As many tasks as the cluster has room for."""
        from activae.sweeps.remote.ray import train_with_ray

        init = OmegaConf.to_container(self.init) if OmegaConf.is_config(self.init) else self.init
        return train_with_ray(init, self.tasks, self.num_cpus, self.num_gpus, self.compile)
