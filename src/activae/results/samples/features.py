"""Points in a space where distances mean something, of samples of any data set.

With labels: the last layer but one of a small classifier, trained here on the run's own training
split. Without: the same network as it is drawn, from a fixed seed. Neither is Inception, so that
no distance taken here is an FID.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from activae.activations.analysis import threads
from activae.errors import DataError
from activae.randomness import generator
from activae.training.files import write_whole
from activae.training.restoring import read_tensors

log = logging.getLogger(__name__)

# All that the network depends on beside the data. Whoever changes a word makes another space, whose
# distances compare with none taken before: raise `version`.
RECIPE: dict[str, Any] = {
    "version": 1,
    "channels": [16, 32, 64],  # of images: convolutions 3 x 3, stride 2
    "pool": 4,  # to at most so many pixels a side
    "hidden": [128, 128],  # of vectors
    "features": 64,
    "seed": 0,
    "steps": 500,  # of Adam, with labels; the rate falls to zero along a line
    "batch_size": 128,
    "lr": 3e-3,
}
_ROWS = 1024  # whose features are taken at a time
_MOST_MOMENTS = 10_000  # training samples that features are standardised by
_HASH_LENGTH = 16


class Features(Protocol):
    """What makes points of samples.

    name: what the space is called; hash: of all that it depends on.
    """

    name: str
    hash: str

    def points(self, x: Tensor) -> Tensor:
        """Points [N, d], float32, on the CPU, of samples x [N, *shape]."""

    def labels(self, x: Tensor) -> Tensor | None:
        """Labels [N], int64, on the CPU, as those of the data; None where it knows none."""


class FeatureNet(nn.Module):
    """A small network from samples [N, *shape] to features [N, 64], and on to classes.

    Features are those of the layer before the last activation: it has no sign to lose. Over the
    training split each has mean 0 and standard deviation 1.
    """

    input_mean: Tensor
    input_scale: Tensor
    feature_mean: Tensor
    feature_scale: Tensor
    classes: Tensor

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.body = _convolutions(shape) if len(shape) == 3 else _layers(shape)
        self.head = nn.Sequential(nn.GELU(), nn.Linear(RECIPE["features"], max(classes, 1)))
        self.register_buffer("input_mean", torch.zeros(*shape))
        self.register_buffer("input_scale", torch.ones(*shape))
        width = RECIPE["features"]
        self.register_buffer("feature_mean", torch.zeros(width))
        self.register_buffer("feature_scale", torch.ones(width))
        self.register_buffer("classes", torch.zeros(classes, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Features as they are, not yet standardised."""
        features: Tensor = self.body((x - self.input_mean) / self.input_scale)
        return features


def _convolutions(shape: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels, sides = shape[0], list(shape[1:])
    for wider in RECIPE["channels"]:
        layers += [nn.Conv2d(channels, wider, 3, 2, 1), nn.GELU()]
        channels, sides = wider, [(side + 1) // 2 for side in sides]
    pooled = (min(RECIPE["pool"], sides[0]), min(RECIPE["pool"], sides[1]))
    layers += [nn.AdaptiveAvgPool2d(pooled), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels * prod(pooled), RECIPE["features"]))


def _layers(shape: Sequence[int]) -> nn.Sequential:
    widths = [prod(shape), *RECIPE["hidden"]]
    layers: list[nn.Module] = [nn.Flatten()]
    for one, following in pairwise(widths):
        layers += [nn.Linear(one, following), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], RECIPE["features"]))


class OwnFeatures:
    """The features of `FeatureNet`, made for one data set: `own_features` gives them."""

    name = "own features"

    def __init__(self, net: FeatureNet, hash_: str) -> None:
        self.net = net.eval()
        self.hash = hash_

    def points(self, x: Tensor) -> Tensor:
        """Standardised features: see `Features`."""
        return torch.cat([self._standardised(part).cpu() for part in x.split(_ROWS)])

    def labels(self, x: Tensor) -> Tensor | None:
        """What the classifier takes samples for: see `Features`."""
        if not len(self.net.classes):
            return None
        with torch.inference_mode():
            parts = [self.net.head(self._features(part)).argmax(1) for part in x.split(_ROWS)]
            found: Tensor = self.net.classes[torch.cat(parts)].cpu()
        return found

    def _features(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x.to(self.net.input_mean))
        return found

    @torch.inference_mode()
    def _standardised(self, x: Tensor) -> Tensor:
        found: Tensor = (self._features(x) - self.net.feature_mean) / self.net.feature_scale
        return found


def own_features(x: Tensor, labels: Tensor | None, kept_in: Path | None = None) -> OwnFeatures:
    """Features for training samples x [N, *shape], a classifier's where they have labels [N].

    One that was made before of the same recipe and data is read from the folder `kept_in`; one that
    had to be made is written there. Labels that are all the same tell nothing. Raises DataError for
    a file that is damaged.
    """
    known = x.new_empty(0, dtype=torch.int64) if labels is None else labels.unique().to(x.device)
    if len(known) < 2:
        labels, known = None, known[:0]
    net = FeatureNet(x.shape[1:], len(known)).to(x.device)
    key = _hash(x, labels)
    file = None if kept_in is None else kept_in / f"features-{key}.pt"
    if file is not None and file.is_file():
        _restore(net, file)
        return OwnFeatures(net, key)
    _draw(net)
    _standardise_input(net, x)
    net.classes.copy_(known)
    if labels is not None:
        log.info("training a small classifier, in whose features samples are compared")
        with threads(1):  # so small a network is no faster on two, and on one the same each time
            _train(net, x, torch.searchsorted(known, labels.to(known)))
    features = OwnFeatures(net, key)
    points = features.points(x[:_MOST_MOMENTS])
    spread = points.std(0, correction=0)
    net.feature_mean.copy_(points.mean(0))
    net.feature_scale.copy_(spread.where(spread > 1e-6 * spread.max(), 1))
    if file is not None:
        content = io.BytesIO()
        torch.save({name: value.cpu() for name, value in net.state_dict().items()}, content)
        try:
            write_whole(file, content.getbuffer())
        except OSError as error:  # they are made anew the next time
            log.warning("%s: the feature network is not kept: %s", file, error.strerror)
    return features


def _hash(x: Tensor, labels: Tensor | None) -> str:
    """Of the recipe, the samples and their labels: 16 hexadecimal digits."""
    found = hashlib.sha256(json.dumps([RECIPE, list(x.shape)]).encode())
    for part in (x, labels):
        if part is not None:
            found.update(part.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()[:_HASH_LENGTH]


def _restore(net: FeatureNet, file: Path) -> None:
    try:
        net.load_state_dict(read_tensors(file))
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        raise DataError(f"{file}: is damaged; remove it, and it is made anew") from error


def _draw(net: FeatureNet) -> None:
    """Weights of variance 2 / fan_in (He et al. 2015), no biases; from the recipe's seed."""
    noise = generator(RECIPE["seed"], "feature network")
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                weight = torch.empty(module.weight.shape)
                nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=noise)
                module.weight.copy_(weight)
                assert module.bias is not None
                module.bias.zero_()


def _standardise_input(net: FeatureNet, x: Tensor) -> None:
    """Mean and deviation of the training samples: of all pixels, of each feature of a vector."""
    some = x[:_MOST_MOMENTS].cpu().double()
    over = tuple(range(x.ndim)) if x.ndim == 4 else (0,)
    mean, deviation = some.mean(over), some.std(over, correction=0)
    net.input_mean.copy_(mean.expand(x.shape[1:]))
    net.input_scale.copy_(deviation.where(deviation > 0, 1).expand(x.shape[1:]))


def _train(net: FeatureNet, x: Tensor, labels: Tensor) -> None:
    """Cross-entropy, Adam, batches drawn at random: as the recipe says."""
    optimizer = torch.optim.Adam(net.parameters(), RECIPE["lr"])
    noise = generator(RECIPE["seed"], "batches of the feature network")
    for step in range(RECIPE["steps"]):
        rows = torch.randint(len(x), (RECIPE["batch_size"],), generator=noise).to(x.device)
        for group in optimizer.param_groups:
            group["lr"] = RECIPE["lr"] * (1 - step / RECIPE["steps"])
        loss = nn.functional.cross_entropy(net.head(net(x[rows].float())), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
