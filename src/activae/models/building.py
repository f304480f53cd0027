"""Autoencoders built in one call, for those who use no config: halves, output, first weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import nn

from activae.activations.named import activation_factory
from activae.config.wording import is_count
from activae.data.spec import DataSpec
from activae.errors import ConfigError
from activae.models.autoencoder import Autoencoder
from activae.models.conv import ConvDecoder, ConvEncoder
from activae.models.hidden import check_widths
from activae.models.initialisation import fitted
from activae.models.mlp import MLPDecoder, MLPEncoder

Activation = str | Callable[[], nn.Module]


def mlp_autoencoder(
    spec: DataSpec,
    code_dim: int,
    *,
    activation: Activation = "relu",
    hidden: Sequence[int] = (64, 32),
    output_activation: nn.Module | None = None,
    seed: int = 0,
) -> Autoencoder:
    """A fully connected autoencoder for the data that a spec describes.

    Its weights are those of `python train.py activation=... encoding.dim=...` with the same seed.

    Args:
        spec: of the data: `AutoencoderDataModule.spec`.
        code_dim: dimensions of the code, which is linear.
        activation: that of the hidden layers: the name of an option of configs/activation, such as
            "relu", "gelu" or "leaky_relu", or what makes an nn.Module, such as a class.
        hidden: widths from the data to the code; the decoder mirrors them.
        output_activation: by default a sigmoid for data in [0, 1], and none for others.
        seed: of the first weights, whose scale fits the activation (`initialisation.fitted`).

    Raises ConfigError for an activation, widths or a code that cannot be.
    """
    factory, hidden = _checked(spec, code_dim, activation, "hidden", hidden)
    encoder = MLPEncoder(spec.shape, code_dim, hidden=hidden, activation=factory)
    decoder = MLPDecoder(code_dim, spec.shape, hidden=hidden[::-1], activation=factory)
    return _joined(encoder, decoder, spec, output_activation, seed)


def conv_autoencoder(
    spec: DataSpec,
    code_dim: int,
    *,
    activation: Activation = "relu",
    channels: Sequence[int] = (16, 32),
    output_activation: nn.Module | None = None,
    seed: int = 0,
) -> Autoencoder:
    """A convolutional autoencoder for images whose sides halve evenly, once for each of `channels`.

    The other arguments, and what is raised, are those of `mlp_autoencoder`.
    """
    factory, channels = _checked(spec, code_dim, activation, "channels", channels)
    encoder = ConvEncoder(spec.shape, code_dim, channels=channels, activation=factory)
    decoder = ConvDecoder(code_dim, spec.shape, channels=channels[::-1], activation=factory)
    return _joined(encoder, decoder, spec, output_activation, seed)


def output_of_range(normalised_range: tuple[float, float]) -> nn.Module:
    """The output that data suggest: a sigmoid in [0, 1], as in the article, otherwise linear."""
    return nn.Sigmoid() if normalised_range == (0.0, 1.0) else nn.Identity()


def _checked(
    spec: DataSpec, code_dim: int, activation: Activation, key: str, widths: Sequence[int]
) -> tuple[Callable[[], nn.Module], list[int]]:
    """What makes the activations, and the widths; ConfigError for what no network can have."""
    if not isinstance(spec, DataSpec):
        raise ConfigError(
            f"spec: is a {type(spec).__name__}, not what a DataModule says of its samples; give "
            "data.spec, of an AutoencoderDataModule that is set up"
        )
    if not is_count(code_dim):
        raise ConfigError(f"code_dim={code_dim!r}: must be a whole number of 1 or more")
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise ConfigError(f"{key}={widths!r}: must be a list of whole numbers, such as [64, 32]")
    found = list(widths)
    check_widths(found, key)
    return activation_factory(activation), found


def _joined(
    encoder: nn.Module,
    decoder: nn.Module,
    spec: DataSpec,
    output_activation: nn.Module | None,
    seed: int,
) -> Autoencoder:
    if output_activation is not None and not isinstance(output_activation, nn.Module):
        raise ConfigError(
            f"output_activation={output_activation!r}: must be a module, such as torch.nn.Sigmoid()"
        )
    output = output_activation or output_of_range(spec.normalised_range)
    net = Autoencoder(encoder, decoder, shape=spec.shape, output_activation=output)
    fitted(net, seed=seed)
    return net
