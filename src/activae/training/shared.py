"""What the runs of one process share: data in memory, compiled graphs, scores of the data."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import pytorch_lightning as pl
from omegaconf import DictConfig

from activae.config.identity import data_key, graph_key
from activae.data.module import AutoencoderDataModule
from activae.training.assembly import build_data, describe_data
from activae.training.compiled_step import Graph

T = TypeVar("T")


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
        self._kept: dict[Hashable, Any] = {}
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

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned when it was first asked for under this key."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept

    def graph(self, cfg: DictConfig) -> Graph | None:
        """Where the run finds its compiled step, or leaves it for others; None: not compiled."""
        if not (cfg.trainer.compile or self.compiled) or cfg.trainer.precision == "16-mixed":
            return None  # and no key: it takes reading the data's file
        key = graph_key(cfg)
        if not (cfg.trainer.compile or key in self.compiled):
            return None
        # How many features a preparation makes depends on the split, which the key leaves out; and
        # so does the size of a batch that is the whole of the split.
        data = self.load(cfg)
        rows = min(cfg.data.batch_size, len(data.samples["train"]))
        return self._graphs.setdefault(f"{key} {data.shape} {rows}", Graph())

    def give_up_compiling(self, cfg: DictConfig) -> None:
        """Leave the steps of runs like this one uncompiled from now on."""
        self.compiled.discard(graph_key(cfg))
