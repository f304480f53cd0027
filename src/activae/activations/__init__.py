"""Activations that torch lacks, and what is known about any activation.

In: numbers that shape an activation. Out: an `nn.Module`, elementwise unless it has the attributes
`inputs_per_unit` or `outputs_per_unit`. `gain`, `moments`, `slope` and `output_range` take any
activation, a function or a module, torch's and the user's own too.
"""

from activae.activations.analysis import (
    Moments,
    gain,
    is_elementwise,
    moments,
    output_range,
    slope,
    values_per_unit,
)
from activae.activations.custom import Custom
from activae.activations.gated import GEGLU, GLU, Bilinear, CReLU, Maxout, ReGLU, SwiGLU
from activae.activations.oscillating import GCU, Gaussian, LiSHT, Rational, Sin, Siren, Snake
from activae.activations.rectifying import (
    ISRLU,
    XIELU,
    BentIdentity,
    ReLUSquared,
    RReLU,
    ShiftedSoftplus,
    SmeLU,
    Squareplus,
)
from activae.activations.self_gated import ELiSH, GoLU, Logish, QuickGELU, Serf, Smish, Swish, TeLU
from activae.activations.squashing import (
    ISRU,
    Arctan,
    Asinh,
    DynamicTanh,
    Erf,
    PenalizedTanh,
    ScaledTanh,
)

__all__ = [
    "GCU",
    "GEGLU",
    "GLU",
    "ISRLU",
    "ISRU",
    "XIELU",
    "Arctan",
    "Asinh",
    "BentIdentity",
    "Bilinear",
    "CReLU",
    "Custom",
    "DynamicTanh",
    "ELiSH",
    "Erf",
    "Gaussian",
    "GoLU",
    "LiSHT",
    "Logish",
    "Maxout",
    "Moments",
    "PenalizedTanh",
    "QuickGELU",
    "RReLU",
    "Rational",
    "ReGLU",
    "ReLUSquared",
    "ScaledTanh",
    "Serf",
    "ShiftedSoftplus",
    "Sin",
    "Siren",
    "SmeLU",
    "Smish",
    "Snake",
    "Squareplus",
    "SwiGLU",
    "Swish",
    "TeLU",
    "gain",
    "is_elementwise",
    "moments",
    "output_range",
    "slope",
    "values_per_unit",
]
