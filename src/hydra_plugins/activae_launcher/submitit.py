"""`hydra/launcher=slurm` and `hydra/launcher=submitit_local`: batch jobs, submitted by submitit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from ._base import SweepLauncher

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


class SubmititLauncher(SweepLauncher):
    """Trains a share of the sweep in each of several batch jobs."""

    def __init__(
        self, cluster: str, jobs: int, cpus_per_task: int, compile: bool | None, **parameters: Any
    ) -> None:
        self.cluster = cluster
        self.jobs = jobs
        self.cpus_per_task = cpus_per_task
        self.compile = compile
        self.parameters = parameters

    def engine(self) -> Engine:
        """Batch jobs of `cpus_per_task` processes."""
        from activae.sweeps.remote.submitit import train_with_submitit

        launcher = "slurm" if self.cluster == "slurm" else "submitit_local"
        parameters = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in self.parameters.items()
        }
        return train_with_submitit(
            launcher, self.cluster, self.jobs, self.cpus_per_task, self.compile, parameters
        )
