"""What the runs of one process share: data in memory, compiled graphs, scores of the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import pytorch_lightning as pl
from omegaconf import DictConfig

from activae.config.identity import identity
from activae.config.settling import container
from activae.data.module import AutoencoderDataModule
from activae.objectives.corruptions import corrupts
from activae.training.assembly import build_data, describe_data
from activae.training.compiled_step import Graph

T = TypeVar("T")

Settled = DictConfig | Mapping[str, Any]  # a settled config, or its plain values


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


def data_key(settled: Settled) -> str:
    """What runs must agree on to train on the same tensors."""
    data = {key: value for key, value in container(settled["data"]).items() if key != "batch_size"}
    return _text(data)


def graph_key(settled: Settled) -> str:
    """What runs must agree on to take their steps with the same compiled graph.

    Seed, learning rate and the strengths of weight decay and penalties are inputs of the graph;
    whether there are any is part of it.
    """
    same = identity(settled)
    kept = (
        "activation",
        "encoding",
        "encoder",
        "decoder",
        "output",
        "objective",
        "optimizer",
        "phases",
    )
    parts = {key: same[key] for key in kept}
    for part, inputs in (("objective", ("l1", "l2")), ("optimizer", ("weight_decay",))):
        parts[part] |= {key: bool(parts[part][key]) for key in inputs if key in parts[part]}
    parts["optimizer"].pop("lr", None)
    parts["regularisers"] = {
        name: node | {"weight": bool(node.get("weight"))}
        for name, node in same["regulariser"].items()
    }
    parts["corrupted"] = corrupts(same["corruption"])
    of_data = ("source", "normalisation", "batch_size")
    parts["data"] = {key: same["data"][key] for key in of_data}
    of_trainer = ("precision", "gradient_clip_val", "detect_anomaly")
    parts["trainer"] = {key: same["trainer"][key] for key in of_trainer}
    parts["device"] = settled["trainer"]["accelerator"]
    return _text(parts)


def _text(values: Any) -> str:
    return json.dumps(values, sort_keys=True, default=str)
