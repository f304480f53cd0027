"""How far two sets of points are from each other: pure functions on tensors.

In: made and real points, [n, d] and [m, d], on the CPU. Out: a Figure. Nothing here draws random
numbers but `sliced_wasserstein`, whose directions depend on its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor

from activae.randomness import generator

NEIGHBOURS = 5  # Naeem et al. 2020, section 4.1
DIRECTIONS = 128  # of sliced_wasserstein
GROUPS = 20  # of points, each left out once
STUDENT = 2.093  # 97.5 % quantile of Student's t with GROUPS - 1 degrees of freedom
NORMAL = 1.960  # and of the normal distribution
_WIDE = 512  # dimensions
_ROWS = 1024  # of a table of distances that are in memory at a time


@dataclass(frozen=True)
class Figure:
    """A number and its 95 % interval; no interval where none is known."""

    value: float
    low: float | None = None
    high: float | None = None


def resampled(
    statistic: Callable[..., float], *points: Tensor, least: float = -inf, most: float = inf
) -> Figure:
    """A statistic of sets of points, its interval by the delete-a-group jackknife.

    Each of 20 times a twentieth of the points of every set is left out (Shao & Tu 1995, The
    jackknife and bootstrap, section 2.3). A bootstrap would repeat points: repeated ones are their
    own nearest neighbours, and their covariance is that of fewer points. The interval is cut at the
    least and the most that the statistic can be: beyond them nothing is possible, so that what is
    cut off holds the true value as little as before.
    """
    groups = [torch.arange(len(each)) % GROUPS for each in points]
    without = (
        statistic(*(each[group != left] for each, group in zip(points, groups, strict=True)))
        for left in range(GROUPS)
    )
    return _with_interval(statistic(*points), without, least, most)


def _with_interval(
    value: float, without: Iterable[float], least: float = -inf, most: float = inf
) -> Figure:
    """The figure of all points, and those of all groups but one."""
    others = torch.tensor(list(without), dtype=torch.float64)
    error = others.std(correction=0) * (GROUPS - 1) ** 0.5
    half = STUDENT * error.item()
    return Figure(value, max(least, value - half), min(most, value + half))


def share(values: Tensor) -> Figure:
    """The mean of values in [0, 1], [n], with Wilson's interval, which ends within [0, 1] too.

    It has a width where all values are 0, or all 1, as the jackknife has not (Wilson 1927, Probable
    inference; Brown, Cai & DasGupta 2001, Interval estimation for a binomial proportion).
    """
    n, mean, square = len(values), values.double().mean().item(), NORMAL**2
    centre = (mean + square / (2 * n)) / (1 + square / n)
    spread = (mean * (1 - mean) / n + square / (4 * n**2)) ** 0.5
    half = NORMAL * spread / (1 + square / n)
    return Figure(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def frechet(made: Tensor, real: Tensor) -> Figure:
    """The Frechet distance of the normal distributions with the means and covariances of both.

    |m - w|^2 + tr(C + D - 2 (C D)^(1/2)): Heusel et al. 2017, GANs trained by a two time-scale
    update rule, eq. 6. With few points it is too large: compare figures of equal numbers. Of more
    than 512 dimensions, as Inception's, there is no interval: it would take minutes.
    """
    if made.shape[1] > _WIDE:
        return Figure(_frechet(made, real))
    return resampled(_frechet, made, real, least=0.0)


def _frechet(made: Tensor, real: Tensor) -> float:
    (mean, covariance), (other_mean, other) = map(_moments, (made, real))
    # (C D)^(1/2) has the trace of (C^(1/2) D C^(1/2))^(1/2), whose matrix is symmetric.
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    common = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    apart = (mean - other_mean).square().sum()
    return (apart + covariance.trace() + other.trace() - 2 * common).item()


def _moments(points: Tensor) -> tuple[Tensor, Tensor]:
    wide = points.double()
    return wide.mean(0), torch.cov(wide.T).reshape(wide.shape[1], wide.shape[1])


def kernel_distance(made: Tensor, real: Tensor) -> Figure:
    """The squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, without bias.

    Binkowski et al. 2018, Demystifying MMD GANs, section 4; of all pairs at once. Of sets alike it
    may be a little below zero.
    """
    ours, theirs, across = (
        _kernel_sums(*pair) for pair in ((made, made), (real, real), (made, real))
    )
    kept = [torch.arange(GROUPS) != left for left in range(GROUPS)]
    n, m = (torch.bincount(torch.arange(len(x)) % GROUPS) for x in (made, real))

    def of(groups: Tensor) -> float:
        inside = [sums[groups][:, groups].sum() for sums in (ours, theirs, across)]
        a, b = n[groups].sum().item(), m[groups].sum().item()
        each = inside[0] / (a * (a - 1)), inside[1] / (b * (b - 1)), 2 * inside[2] / (a * b)
        return (each[0] + each[1] - each[2]).item()

    return _with_interval(of(torch.ones(GROUPS, dtype=torch.bool)), map(of, kept))


def _kernel_sums(points: Tensor, others: Tensor) -> Tensor:
    """Sums of the kernel over pairs, by the groups of both: [20, 20]; no point with itself."""
    sums = torch.zeros(GROUPS, GROUPS, dtype=torch.float64)
    wide = points.shape[1]
    for left in range(GROUPS):
        for right in range(GROUPS):
            a, b = points[left::GROUPS].float(), others[right::GROUPS].float()
            kernel = torch.addmm(torch.ones(1, 1), a, b.T, alpha=1 / wide).pow_(3)
            if points is others and left == right:
                kernel.fill_diagonal_(0)
            sums[left, right] = kernel.sum(dtype=torch.float64)
    return sums


def sliced_wasserstein(made: Tensor, real: Tensor, seed: int = 0) -> Figure:
    """The root of the mean squared Wasserstein-2 distance along 128 random directions.

    Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters of measures. Both sets are of
    equal size.
    """
    assert len(made) == len(real), (len(made), len(real))
    directions = torch.randn(made.shape[1], DIRECTIONS, generator=generator(seed, "directions"))
    directions /= directions.norm(dim=0)
    # Columns of points in ascending order, and the group of each: leaving one out keeps the order.
    (ours, our_groups), (theirs, their_groups) = (
        (values.T.contiguous(), (order % GROUPS).T.contiguous())
        for values, order in ((x.float() @ directions).sort(0) for x in (made, real))
    )

    def of(left: int) -> float:
        a, b = ours[our_groups != left], theirs[their_groups != left]  # as many of each direction
        return (a - b).double().square().mean().sqrt().item()

    return _with_interval(of(GROUPS), map(of, range(GROUPS)), least=0.0)


@dataclass(frozen=True)
class Balls:
    """Points [n, d] with the squared distance of each to its nearest, and to its k-th, [n]."""

    points: Tensor
    nearest: Tensor
    radius: Tensor

    @classmethod
    def around(cls, points: Tensor, k: int = NEIGHBOURS) -> Balls:
        """Those of points, n > k, to each other."""
        assert len(points) > k, (len(points), k)
        found = []
        for first, distances in _distances(points, points):
            rows = torch.arange(len(distances))
            distances[rows, first + rows] = torch.inf
            found.append(distances.topk(k, largest=False).values)
        ordered = torch.cat(found)
        return cls(points, ordered[:, 0], ordered[:, -1])


def by_neighbours(made: Balls, real: Balls, k: int = NEIGHBOURS) -> dict[str, Figure]:
    """What nearest neighbours tell: all but `one_nn` are better the higher they are.

    - precision: the share of made points that lie in the ball around a real point, which reaches to
      its k-th neighbour; recall: of real points in the ball around a made one (Kynkaanniemi et al.
      2019, Improved precision and recall metric, eq. 2);
    - density: the number of balls of real points that a made one lies in, divided by k; coverage:
      the share of real points whose ball holds a made one (Naeem et al. 2020, Reliable fidelity and
      diversity metrics, eqs. 5 and 7);
    - one_nn: how often a point's nearest neighbour among all others is of its own set. One half: no
      difference is seen (Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests).

    Intervals are over points, whose neighbours stay as they are.
    """
    n, m = len(made.points), len(real.points)
    balls, nearest_real = torch.zeros(n), torch.full((n,), torch.inf)
    recalled, nearest_made = torch.empty(m), torch.empty(m)
    for first, distances in _distances(real.points, made.points):
        rows = slice(first, first + len(distances))
        balls += (distances <= real.radius[rows, None]).sum(0)
        recalled[rows] = (distances <= made.radius).any(1).float()
        nearest_made[rows] = distances.amin(1)
        nearest_real = torch.minimum(nearest_real, distances.amin(0))
    told = [
        torch.where(own == other, 0.5, (own < other).float())
        for own, other in ((real.nearest, nearest_made), (made.nearest, nearest_real))
    ]
    return {
        "precision": share((balls > 0).float()),
        "recall": share(recalled),
        "density": resampled(lambda of: of.double().mean().item(), balls / k, least=0.0),
        "coverage": share((nearest_made <= real.radius).float()),
        "one_nn": share(torch.cat(told)),
    }


def nearest(points: Tensor, among: Tensor, own: Tensor | None = None) -> Tensor:
    """The distance of each point to the nearest of others: [n].

    own [n]: which of the others a point is, or was made from; that one does not count.
    """
    found = []
    for first, distances in _distances(points, among):
        if own is not None:
            rows = torch.arange(len(distances))
            distances[rows, own[first : first + len(distances)]] = torch.inf
        found.append(distances.argmin(1))
    # Of the nearest once more: what comes of a matrix product is not zero for two equal points.
    return (points - among[torch.cat(found)]).double().norm(dim=1)


def ratio(distances: Tensor, of_real: Tensor) -> Figure:
    """The mean of distances [n], relative to that of real points [m]."""
    return resampled(lambda a, b: (a.mean() / b.mean()).item(), distances, of_real, least=0.0)


def label_figures(made: Tensor, real: Tensor) -> dict[str, Figure]:
    """What labels, [n] and [m], the made points have, beside real ones.

    - label_coverage: of the real points' labels, the share that occur at least a tenth as often;
    - label_entropy: of the labels' frequencies, in nats.
    """
    kinds, counts = real.unique(return_counts=True)
    shares = (made[:, None] == kinds).double().mean(0)
    seen = (shares >= counts / len(real) / 10).double().mean().item()
    most = log(max(2, len(torch.cat((made, real)).unique())))
    entropy = resampled(_entropy, made, least=0.0, most=most)
    return {"label_coverage": Figure(seen), "label_entropy": entropy}


def _entropy(labels: Tensor) -> float:
    counts = labels.unique(return_counts=True)[1]
    return torch.special.entr(counts.double() / len(labels)).sum().item()


def _distances(points: Tensor, others: Tensor) -> Iterable[tuple[int, Tensor]]:
    """Squared distances [rows, m] of points to others, some rows at a time, and the first row.

    By a matrix product, about the mean of others: numbers far from zero would lose their digits.
    """
    centre = others.mean(0)
    others = (others - centre).float()
    lengths = others.square().sum(1)
    for first in range(0, len(points), _ROWS):
        part = (points[first : first + _ROWS] - centre).float()
        distances = torch.addmm(lengths, part, others.T, alpha=-2)
        yield first, distances.add_(part.square().sum(1)[:, None]).clamp_(min=0)
