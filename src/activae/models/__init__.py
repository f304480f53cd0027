"""Encoders and decoders (plain `nn.Module`s), the autoencoder that joins them, initial weights.

In: shapes, widths and a factory of activations. Out: an `Autoencoder`.

An encoder is any callable `(input_shape, code_dim, *, activation, ...) -> nn.Module` whose module
maps [B, *input_shape] to [B, code_dim]; a decoder is any `(code_dim, output_shape, *, activation,
...)` whose module maps [B, code_dim] to [B, *output_shape]. `activation` is a factory without
arguments: every layer owns its activation. The last layer of each is linear.
"""

from activae.models.autoencoder import Autoencoder
from activae.models.building import conv_autoencoder, mlp_autoencoder
from activae.models.conv import ConvDecoder, ConvEncoder
from activae.models.mlp import MLPDecoder, MLPEncoder, ResidualMLPDecoder, ResidualMLPEncoder

__all__ = [
    "Autoencoder",
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "ResidualMLPDecoder",
    "ResidualMLPEncoder",
    "conv_autoencoder",
    "mlp_autoencoder",
]
