"""What an objective and regularisers see of the autoencoder in a training step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from activae.models import Autoencoder


class Seeing:
    """An autoencoder that sees other samples than it is called with."""

    def __init__(self, net: Autoencoder, seen: Tensor) -> None:
        self.net = net
        self.seen = seen

    def __call__(self, x: Tensor) -> Tensor:
        """Reconstructions of what it sees."""
        return self.net(self.seen)

    def encode(self, x: Tensor) -> Tensor:
        """Codes of what it sees."""
        return self.net.encode(self.seen)

    def logits(self, x: Tensor) -> Tensor:
        """As `Autoencoder.logits`, of what it sees."""
        return self.net.logits(self.seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)


class Encoded:
    """An autoencoder with a latent, whose encodings and code in training are there already.

    x are the samples, `seen` what the encoder sees of them; for others it is the autoencoder
    itself. `training_code` [B, code_dim] is what is decoded: with noise, where the latent has some.
    """

    def __init__(
        self, net: Autoencoder, x: Tensor, seen: Tensor, encodings: Tensor, training_code: Tensor
    ) -> None:
        self.net = net
        self.x = x
        self.seen = seen
        self.encodings = encodings
        self.training_code = training_code
        self.known: dict[str, Tensor] = {}

    def _knows(self, x: Tensor) -> bool:
        return x is self.x or x is self.seen

    def __call__(self, x: Tensor) -> Tensor:
        """Reconstructions of the training code."""
        return self.net.reconstruct_from(self._logits, self.seen) if self._knows(x) else self.net(x)

    def encoded(self, x: Tensor) -> Tensor:
        """As `Autoencoder.encoded`."""
        return self.encodings if self._knows(x) else self.net.encoded(x)

    def encode(self, x: Tensor) -> Tensor:
        """As `Autoencoder.encode`: without noise."""
        return self._code if self._knows(x) else self.net.encode(x)

    def logits(self, x: Tensor) -> Tensor:
        """As `Autoencoder.logits`, of the training code."""
        return self._logits if self._knows(x) else self.net.logits(x)

    # Not cached_property, whose lock torch.compile cannot trace.
    @property
    def _code(self) -> Tensor:
        if "code" not in self.known:
            assert self.net.latent is not None
            self.known["code"] = self.net.latent.code(self.encodings)
        return self.known["code"]

    @property
    def _logits(self) -> Tensor:
        if "logits" not in self.known:
            self.known["logits"] = self.net.logits_of(self.training_code)
        return self.known["logits"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)


def training_code(net: Any, x: Tensor) -> Tensor:
    """The codes [B, code_dim] that are decoded in training: with noise, if the latent has some."""
    return net.training_code if isinstance(net, Encoded) else net.encode(x)
