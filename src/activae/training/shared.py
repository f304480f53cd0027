"""What the runs of one process share: data in memory, PCA's scores, compiled graphs."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
from omegaconf import DictConfig

from activae.config.identity import data_key, graph_key
from activae.data.module import AutoencoderDataModule
from activae.results.evaluation import Scores, score_pca
from activae.training.assembly import build_data, describe_data
from activae.training.compiled_step import Graph


class Shared:
    """Makes what a run needs, once for all the runs that need the same.

    watchers: callbacks that stand in for the progress bar.
    threads: how many torch uses where the config says nothing; None: as many as suit the network.
    keeps_all_data: whether every data set stays in memory; else the one that was used last.
    compiled: the `graph_key` of the runs whose steps are compiled though their config does not ask.
    """

    def __init__(
        self,
        *,
        watchers: Sequence[pl.Callback] | None = None,
        threads: int | None = None,
        keeps_all_data: bool = False,
    ) -> None:
        self.watchers = watchers
        self.threads = threads
        self.keeps_all_data = keeps_all_data
        self.compiled: set[str] = set()
        self._data: dict[str, AutoencoderDataModule] = {}
        self._pca: dict[tuple[str, int, str], Scores] = {}
        self._graphs: dict[str, Graph] = {}

    def load(self, cfg: DictConfig) -> AutoencoderDataModule:
        """The data of this and all similar runs: loaded, unless they are there."""
        key = data_key(cfg)
        if key not in self._data:
            if not self.keeps_all_data:
                self._data.clear()
            self._data[key] = build_data(cfg)
        return self._data[key]

    def data(self, cfg: DictConfig) -> AutoencoderDataModule:
        """The run's DataModule; its tensors are those of all runs with the same data."""
        data = self.load(cfg).for_run(seed=cfg.seed, batch_size=cfg.data.batch_size)
        describe_data(data)
        return data

    def pca(self, cfg: DictConfig, data: AutoencoderDataModule) -> Scores:
        """PCA's scores on the run's data with as many dimensions as its code."""
        samples = data.samples["train"]
        key = (data_key(cfg), cfg.encoding.dim, f"{samples.dtype} {samples.device}")
        if key not in self._pca:
            self._pca[key] = score_pca(data, cfg.encoding.dim)
        return self._pca[key]

    def graph(self, cfg: DictConfig) -> Graph | None:
        """Where the run finds its compiled step, or leaves it for others; None: not compiled."""
        if not (cfg.trainer.compile or self.compiled):
            return None  # and no key: it takes reading the data's file
        key = graph_key(cfg)
        if not (cfg.trainer.compile or key in self.compiled):
            return None
        # How many features a preparation makes depends on the split, which the key leaves out.
        shape = self.load(cfg).shape
        return self._graphs.setdefault(f"{key} {shape}", Graph())

    def give_up_compiling(self, cfg: DictConfig) -> None:
        """Leave the steps of runs like this one uncompiled from now on."""
        self.compiled.discard(graph_key(cfg))


def status_of(watchers: Sequence[pl.Callback]) -> str:
    """How a run ended that none of its watchers saw fail: pruned, if one of them stopped it."""
    pruned = any(getattr(watcher, "pruned", False) for watcher in watchers)
    return "pruned" if pruned else "completed"
