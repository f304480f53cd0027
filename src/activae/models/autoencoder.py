"""The autoencoder as a plain module: encoder, code activation, decoder, output activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from activae.activations.analysis import acts_by_unit
from activae.errors import ConfigError
from activae.models.counts import TotalSharingHead, totals
from activae.models.latent import Latent

_WEIGHT_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Autoencoder(nn.Module):
    """An encoder and a decoder whose shapes agree.

    `forward`, `decode` return reconstructions [B, *shape] in the data's normalised range; `encode`
    returns codes [B, code_dim]. Raises ConfigError, naming both shapes, where the halves disagree.
    Samples go to the encoder through `input_transform`, and what it gives to the decoder through
    `latent`, if there is one. No module of torch's writes into its input (`inplace=True` counts as
    False), which a shortcut or a loss may need as it was. `multiply_adds` are those of weight
    layers in a forward pass of one sample.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        shape: Sequence[int],
        code_activation: nn.Module | None = None,
        output_activation: nn.Module | None = None,
        input_transform: nn.Module | None = None,
        latent: Latent | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise ConfigError(f"shape={shape!r}: must be that of a sample, such as (1, 28, 28)")
        self.shape = tuple(shape)
        self.input_transform = input_transform or nn.Identity()
        self.encoder = encoder
        self.code_activation = code_activation or nn.Identity()
        self.latent = latent
        self.decoder = decoder
        self.output_activation = output_activation or nn.Identity()
        _keep_inputs(self)
        with _counting_work(self) as work:
            self._check_shapes()
        self.multiply_adds = sum(work.values())

    def encode(self, x: Tensor) -> Tensor:
        """Codes [B, code_dim] of normalised samples [B, *shape]."""
        encoded = self.encoded(x)
        return encoded if self.latent is None else self.latent.code(encoded)

    def encoded(self, x: Tensor) -> Tensor:
        """What the encoder makes of normalised samples [B, *shape]: the code, without a latent."""
        return self.code_activation(self.encoder(self.input_transform(x)))

    def decode(self, code: Tensor, sample_totals: Tensor | None = None) -> Tensor:
        """Reconstructions [B, *shape] of codes [B, code_dim].

        `sample_totals` [B] are for an output that shares out each sample's total; None: all 1.
        """
        return self._output(self.logits_of(code), sample_totals)

    def _output(self, logits: Tensor, sample_totals: Tensor | None) -> Tensor:
        if isinstance(self.output_activation, TotalSharingHead):
            known = logits.new_ones(len(logits)) if sample_totals is None else sample_totals
            return self.output_activation(logits, known)
        return self.output_activation(logits)

    def logits(self, x: Tensor) -> Tensor:
        """What enters the output activation; losses take it for numerical stability.

        [B, *shape], or with several values a feature [B, values * shape[0], *shape[1:]].
        """
        return self.logits_of(self.encode(x))

    def logits_of(self, code: Tensor) -> Tensor:
        """The same of codes [B, code_dim]."""
        return _at_least_single(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions [B, *shape] of normalised samples [B, *shape]."""
        return self.reconstruct(self.encode(x), x)

    def reconstruct(self, code: Tensor, x: Tensor) -> Tensor:
        """Reconstructions [B, *shape] of codes [B, code_dim] of the samples x [B, *shape]."""
        return self.reconstruct_from(self.logits_of(code), x)

    def reconstruct_from(self, logits: Tensor, x: Tensor) -> Tensor:
        """The same from what enters the output activation."""
        shares_totals = isinstance(self.output_activation, TotalSharingHead)
        return self._output(logits, totals(x) if shares_totals else None)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Name and tensor of every weight: what decay and weight penalties apply to.

        Biases and the parameters of learnable activations do not count as weights.
        """
        for name, module in self.named_modules():
            if isinstance(module, _WEIGHT_LAYERS):
                yield f"{name}.weight", module.weight

    def activations(self) -> dict[str, nn.Module]:
        """The hidden activations by name, in the order of the forward pass, without identities."""
        return {
            f"{half}.{name}": module
            for half in ("encoder", "decoder")
            for name, module in layers(getattr(self, half))
            if not is_weight_layer(module)
        }

    @torch.no_grad()
    def _check_shapes(self) -> None:
        self.eval()  # a random activation draws nothing from the global generator
        try:
            code = self.encode(torch.zeros(2, *self.shape))
        except RuntimeError as error:
            raise ConfigError(
                f"the encoder does not take data of shape {self.shape}: {error}"
            ) from error
        given = f"the encoder turns data of shape {self.shape} into {tuple(code.shape[1:])}"
        try:
            out = self.decode(code)
        except RuntimeError as error:
            raise ConfigError(f"{given}, which the decoder does not take: {error}") from error
        self.train()
        if tuple(out.shape[1:]) != self.shape:
            raise ConfigError(
                f"{given}, and the decoder turns that into {tuple(out.shape[1:])} instead of "
                f"{self.shape}: choose an encoder and a decoder whose shapes agree"
            )


def _keep_inputs(net: nn.Module) -> None:
    for module in net.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]


@contextmanager
def _counting_work(net: nn.Module) -> Iterator[dict[nn.Module, int]]:
    """For each weight layer, the multiply-adds for one sample that it takes in this context.

    A weight is used once by a linear layer, and at every position by a convolution. One whose layer
    is not called, because its owner uses the weight itself, counts once.
    """
    found = [module for module in net.modules() if is_weight_layer(module)]
    work: dict[nn.Module, int] = {layer: layer.weight.numel() for layer in found}

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert is_weight_layer(layer)
        # A transposed convolution applies its weight to every position of the input.
        spread = isinstance(layer, nn.modules.conv._ConvTransposeNd)
        positions = inputs[0] if spread else output
        work[layer] = positions[0].numel() * layer.weight[0].numel()

    handles = [layer.register_forward_hook(count) for layer in found]
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


class SeenOnce:
    """An autoencoder whose code and logits of one batch are computed once, whoever asks for them.

    For samples other than x it is the autoencoder itself.
    """

    def __init__(self, net: Autoencoder, x: Tensor) -> None:
        self.net = net
        self.x = x

    def __call__(self, x: Tensor) -> Tensor:
        """As `Autoencoder.forward`."""
        return self.net.reconstruct_from(self._logits, x) if x is self.x else self.net(x)

    def encode(self, x: Tensor) -> Tensor:
        """As `Autoencoder.encode`."""
        return self._code if x is self.x else self.net.encode(x)

    def logits(self, x: Tensor) -> Tensor:
        """As `Autoencoder.logits`."""
        return self._logits if x is self.x else self.net.logits(x)

    @cached_property
    def _code(self) -> Tensor:
        return self.net.encode(self.x)

    @cached_property
    def _logits(self) -> Tensor:
        return self.net.logits_of(self._code)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)


def _at_least_single(outputs: Tensor) -> Tensor:
    """Half precision ends here: sigmoids and losses of it would lose three digits."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Name and module of every weight layer and activation within `module`, in definition order.

    An activation is one of torch's, or a module from elsewhere that acts on every value for itself.
    Modules that shape, pool, drop, normalise or attend are left out.
    """
    if is_weight_layer(module) or _is_activation(module):
        yield name, module
    else:
        for child_name, child in module.named_children():
            yield from layers(child, f"{name}.{child_name}" if name else child_name)


def is_weight_layer(module: nn.Module) -> TypeGuard[nn.Linear | nn.modules.conv._ConvNd]:
    """Whether the module multiplies its input by a weight."""
    return isinstance(module, _WEIGHT_LAYERS)


def _is_activation(module: nn.Module) -> bool:
    home = type(module).__module__
    if home.startswith("torch.nn.modules."):
        attends = isinstance(module, nn.MultiheadAttention)
        return home == "torch.nn.modules.activation" and not attends
    if isinstance(module, _CONTAINERS) or any(map(is_weight_layer, module.modules())):
        return False
    return acts_by_unit(module)
