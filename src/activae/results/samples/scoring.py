"""The figures of a run's samples, and of all that they have to be seen beside.

In: real samples, what makes samples and reconstructions, a space of features. Out: a
SampleScores, which metrics.json keeps as plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activae.data.binarising import fresh_draw
from activae.data.module import AutoencoderDataModule
from activae.data.normalisation import Samples
from activae.errors import UserError
from activae.randomness import generator
from activae.results.samples import statistics
from activae.results.samples.features import Features, OwnFeatures, own_features
from activae.results.samples.statistics import Balls, Figure, nearest, ratio

MOST_SAMPLES = 10_000  # compared; more take minutes
LEAST_SAMPLES = 2 * statistics.GROUPS
_NEAREST = 1000  # samples whose nearest in the training split is looked for
_MOST_TRAIN = 100_000  # training samples that are looked through
_MOST_VALUES = 1 << 28  # in all of these: 1 GB
# Sets beside the samples, in the order in which they are told.
RECONSTRUCTIONS, REAL, COPIES = "reconstructions", "real", "copies"
BESIDE = (RECONSTRUCTIONS, REAL, COPIES)

Figures = dict[str, Figure]


@dataclass(frozen=True)
class SampleScores:
    """Figures by name: of the samples, and of each set beside them.

    n: samples in each set; split: which real ones they are compared with; sampler: what drew the
    codes; space: what the features are; hash: of them; accuracy: of the classifier that they are
    of, on the split; left_out: why there are no copies, if there are none.
    """

    samples: Figures
    beside: dict[str, Figures]
    n: int
    split: str
    sampler: str
    space: str
    hash: str
    accuracy: float | None
    left_out: str | None = None

    def __repr__(self) -> str:
        shown = ("frechet", "precision", "recall", "coverage", "one_nn", "nearest_train")
        found = ((name, self.samples.get(name)) for name in shown)
        figures = ", ".join(f"{name} {each.value:.4g}" for name, each in found if each)
        return f"<activae.SampleScores of {self.n} samples by {self.sampler}: {figures}>"

    def __str__(self) -> str:
        """The table that `scripts/use.py evaluate` prints, and what it means."""
        from activae.results.samples.told import notes, table  # which take names from here

        found = self.as_metrics()
        return "\n".join([*table(found), *notes(found)])

    def as_metrics(self) -> dict[str, Any]:
        """Plain numbers, as metrics.json keeps them: the samples' on top, None what is not finite.

        low and high: ends of 95 % intervals.
        """
        about = {
            "n": self.n,
            "split": self.split,
            "sampler": self.sampler,
            "space": self.space,
            "features": self.hash,
            "classifier_accuracy": self.accuracy,
            **({} if self.left_out is None else {"left_out": self.left_out}),
        }
        others = {name: _plain(figures) for name, figures in self.beside.items()}
        return about | _plain(self.samples) | others


def _plain(figures: Figures) -> dict[str, Any]:
    ends = {
        end: {name: _finite(getattr(each, end)) for name, each in figures.items()}
        for end in ("low", "high")
    }
    return {name: _finite(each.value) for name, each in figures.items()} | ends


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class Splits:
    """Real samples, normalised: those of training, [N, *shape], and others, [M, *shape].

    labels, real_labels: of both, [N] and [M], where they are known; shown: from normalised samples
    to the scale that they are compared on; name: of the data; split: of the others; seed: of the
    order in which they are taken; draws_pixels: samples are pictures of 0 and 1, drawn with what a
    decoder gives as probabilities; left_out: why `train` is not what the run was trained on, which
    copies and nearest_train are about.
    """

    train: Samples
    real: Samples
    labels: Tensor | None
    real_labels: Tensor | None
    shown: Callable[[Tensor], Tensor]
    name: str
    split: str = "test"
    seed: int = 0
    draws_pixels: bool = False
    left_out: str | None = None

    @classmethod
    def of(cls, data: AutoencoderDataModule, *, test: bool = True) -> Splits:
        """Those of a run's data: training and test, or val; pictures are compared on [0, 1]."""
        split = "test" if test else "val"
        return cls(
            data.samples["train"],
            data.samples[split],
            data.labels["train"],
            data.labels[split],
            data.to_unit if data.spec.is_image else lambda x: x,
            data.source.name,
            split,
            data.split_seed,
            draws_pixels=data.spec.binarise is not None,
        )

    @property
    def most(self) -> int:
        """How many samples of a split are looked through: as many as memory has room for."""
        return max(LEAST_SAMPLES, min(_MOST_TRAIN, _MOST_VALUES // prod(self.train.shape[1:])))

    def drawn(self, most: int, purpose: str) -> tuple[Tensor, Tensor | None]:
        """At most so many of `train` or `real` in a random order, and their labels."""
        samples = self.train if purpose == "train" else self.real
        labels = self.labels if purpose == "train" else self.real_labels
        order = torch.randperm(len(samples), generator=generator(self.seed, "compared", purpose))
        rows = order[:most]
        chosen = samples.index_select(0, rows.to(samples.device))
        return chosen, None if labels is None else labels.cpu()[rows]

    def features(self, kept_in: Path | None = None) -> OwnFeatures:
        """Those of the training samples: see `own_features`."""
        train, labels = self.drawn(self.most, "train")
        return own_features(self.shown(train).float(), labels, kept_in)


@dataclass(frozen=True, eq=False)
class Reference:
    """All that n samples are compared with: made once for all runs on the data.

    train [n, *shape]: training samples, normalised, which are reconstructed; values [n, d]: real
    samples that were not trained on, as they are shown; balls: their features; among [N, d]: all
    training samples, as they are shown; held: distances of some real samples to the nearest of
    these; both None where these are not those of the run; told: the labels that the classifier
    gives the real samples, accuracy: the share of them that is right; beside: the figures of
    training samples and of copies.
    """

    splits: Splits
    features: Features
    n: int
    train: Tensor
    values: Tensor
    balls: Balls
    among: Tensor | None
    held: Tensor | None
    told: Tensor | None
    accuracy: float | None
    beside: dict[str, Figures]

    @classmethod
    def of(cls, splits: Splits, features: Features, n: int | None = None) -> Reference:
        """n=None: 10,000, or as many as there are. Raises UserError for too few or too many."""
        n = _number(n, splits)
        train, _ = splits.drawn(splits.most, "train")
        real, truth = splits.drawn(n, "real")
        values = splits.shown(real).flatten(1).float().cpu()
        among = None
        if splits.left_out is None:
            among = splits.shown(train).flatten(1).float().cpu()
        told = features.labels(splits.shown(real))
        made = cls(
            splits,
            features,
            n,
            train[:n].clone(),
            values,
            Balls.around(features.points(splits.shown(real))),
            among,
            None if among is None else nearest(values[:_NEAREST], among),
            told,
            _accuracy(told, truth),
            {},
        )
        made.beside[REAL] = made.figures(made.train, are_training=True)
        if splits.left_out is None:
            made.beside[COPIES] = made.figures(train[-n:])
        return made

    def figures(self, x: Tensor, *, are_training: bool = False) -> Figures:
        """Of normalised samples x [n, *shape].

        are_training: they are those of `train`, or made of these. A sample's own does not count as
        its nearest training sample then.
        """
        shown = self.splits.shown(x)
        values, points = shown.flatten(1).float().cpu(), self.features.points(shown)
        own = torch.arange(self.n)[:_NEAREST] if are_training else None
        found = {
            "frechet": statistics.frechet(points, self.balls.points),
            "kernel": statistics.kernel_distance(points, self.balls.points),
            **statistics.by_neighbours(Balls.around(points), self.balls),
            "sliced_w2": statistics.sliced_wasserstein(values, self.values),
        }
        if self.among is not None and self.held is not None:
            distances = nearest(values[:_NEAREST], self.among, own)
            found["nearest_train"] = ratio(distances, self.held)
        labels = self.features.labels(shown)
        if labels is not None and self.told is not None:
            found |= statistics.label_figures(labels, self.told)
        return found


def score_samples(
    reference: Reference,
    draw: Callable[[int], Tensor],
    reconstruct: Callable[[Tensor], Tensor],
    sampler: str,
) -> SampleScores:
    """Figures of samples, beside as many reconstructions, real ones and copies.

    All are compared with real samples that were not trained on. Beside them stand training samples
    (`real`: what a perfect generator would have), the reconstructions of the same ones (what a
    perfect sampler would have), and training samples as they would come from a generator that
    copies them (`copies`).

    draw: n normalised samples; reconstruct: of normalised ones; sampler: what drew the codes, in
    words. Where real samples are pixels drawn as 0 or 1, so are the pixels of what the decoder
    gives: its grey values are probabilities, which no real sample shows. Raises
    UserError for samples that are not finite.
    """
    made = {
        "samples": draw(reference.n),
        RECONSTRUCTIONS: reconstruct(reference.train),
    }
    for name, x in made.items():
        if not x.isfinite().all():
            raise UserError(f"{name} of this run are not all finite: train it at a smaller rate")
    if reference.splits.draws_pixels:
        made = {
            name: fresh_draw(x, reference.splits.seed, step)
            for step, (name, x) in enumerate(made.items())
        }
    beside = {RECONSTRUCTIONS: reference.figures(made[RECONSTRUCTIONS], are_training=True)}
    return SampleScores(
        reference.figures(made["samples"]),
        beside | reference.beside,
        n=reference.n,
        split=reference.splits.split,
        sampler=sampler,
        space=reference.features.name,
        hash=reference.features.hash,
        accuracy=reference.accuracy,
        left_out=reference.splits.left_out,
    )


def _accuracy(told: Tensor | None, truth: Tensor | None) -> float | None:
    """The share of labels [n] that are told right."""
    if told is None or truth is None:
        return None
    return (told == truth).double().mean().item()


def _number(n: int | None, splits: Splits) -> int:
    """How many samples to compare. Raises UserError."""
    train, real = min(len(splits.train), splits.most), len(splits.real)
    most = min(train, real)
    if most < LEAST_SAMPLES:
        raise UserError(
            f"{splits.name}: {train} training samples and {real} of {splits.split} are too few to "
            f"say how good samples are: it takes {LEAST_SAMPLES} of both; give more data"
        )
    if n is None:
        return min(most, MOST_SAMPLES)
    if isinstance(n, bool) or not isinstance(n, Integral) or not LEAST_SAMPLES <= n <= most:
        raise UserError(
            f"n={n}: give {LEAST_SAMPLES} to {most}: as many are compared with those of "
            f"{splits.split} ({real}), and taken of the training split ({train})"
        )
    return int(n)
