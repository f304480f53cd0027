"""What a code is worth as features: how well labels can be told from it.

In: samples with labels, and what makes codes of them; the network never learns from labels. Out:
numbers for the code, and beside them for the values themselves and for PCA of the same dimension.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.module import AutoencoderDataModule
from activae.randomness import generator
from activae.results.evaluation import TRAIN_SAMPLES
from activae.results.pca import PCA
from activae.training.assembly import check_labels

NEIGHBOURS = 5
_MOST_STEPS = 1000  # of the linear probe's solver
_STARTS = 4  # of k-means
_ROWS_AT_A_TIME = 4096

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Normalised samples x [N, *shape] with the label of each, [N]: numbers or words."""

    x: Tensor
    labels: Array


@torch.inference_mode()
def probe(
    encode: Callable[[Tensor], Tensor], train: Labelled, scored: Labelled, dim: int
) -> dict[str, Any]:
    """How well labels can be told from codes, raw values and PCA's `dim` components.

    For the code, and below `raw` and `pca` for these, all higher is better:

    - accuracy: of a linear probe, logistic regression on standardised features (Alain & Bengio
      2016), fitted on `train`, on `scored`;
    - knn_accuracy: of the vote of the 5 nearest of `train`;
    - nmi, ari: how well k-means of `scored` with as many clusters as labels agrees with them:
      normalised mutual information, and the Rand index adjusted for chance (Hubert & Arabie 1985).
    """
    pca = PCA.fit(train.x)

    def components(x: Tensor) -> Tensor:
        return pca.project(x, dim)

    features = {"code": encode, "raw": lambda x: x, "pca": components}
    found = {
        name: _figures(_flat(make, train.x), train.labels, _flat(make, scored.x), scored.labels)
        for name, make in features.items()
    }
    return {**found.pop("code"), **found}


def labelled_splits(data: AutoencoderDataModule, *, test: bool) -> tuple[Labelled, Labelled]:
    """At most 10,000 samples of the training split, and those of test, or else of val.

    Raises ConfigError where the data have no labels.
    """
    check_labels(data)
    return _labelled(data, "train"), _labelled(data, "test" if test else "val")


def _labelled(data: AutoencoderDataModule, stage: str) -> Labelled:
    samples, labels = data.samples[stage], data.labels[stage]
    assert isinstance(samples, Tensor)
    assert labels is not None
    if stage == "train" and len(samples) > TRAIN_SAMPLES:
        noise = generator(data.split_seed, "probed training samples")
        rows = torch.randperm(len(samples), generator=noise)[:TRAIN_SAMPLES]
        samples, labels = samples[rows.to(samples.device)], labels[rows.to(labels.device)]
    return Labelled(samples, labels.cpu().numpy())


def _flat(make: Callable[[Tensor], Tensor], x: Tensor) -> Array:
    """Features [N, k] as float64."""
    parts = [make(part).flatten(1).cpu().double() for part in x.split(_ROWS_AT_A_TIME)]
    return torch.cat(parts).numpy()


def _figures(train: Array, labels: Array, scored: Array, truth: Array) -> dict[str, float]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MOST_STEPS))
    nearest = KNeighborsClassifier(min(NEIGHBOURS, len(train)))
    kinds = min(len(np.unique(labels)), len(scored))
    with warnings.catch_warnings():
        # A solver stopped early has a figure too, and a code may have fewer points than clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        accuracy = linear.fit(train, labels).score(scored, truth)
        clusters = KMeans(kinds, n_init=_STARTS, random_state=0).fit_predict(scored)
    return {
        "accuracy": float(accuracy),
        "knn_accuracy": float(nearest.fit(train, labels).score(scored, truth)),
        "nmi": float(normalized_mutual_info_score(truth, clusters)),
        "ari": float(adjusted_rand_score(truth, clusters)),
    }
