"""Activations that torch lacks, and the figures that describe any activation."""

from activae.activations.custom import Custom
from activae.activations.gain import gain
from activae.activations.gated import GEGLU, GLU, Bilinear, CReLU, Maxout, ReGLU, SwiGLU
from activae.activations.moments import Moments, moments
from activae.activations.nonmonotonic import GCU, Gaussian, LiSHT
from activae.activations.output_range import output_range
from activae.activations.periodic import Sin, Siren, Snake
from activae.activations.rational import Rational
from activae.activations.rectifying import (
    ISRLU,
    XIELU,
    BentIdentity,
    ReLUSquared,
    ShiftedSoftplus,
    SmeLU,
    Squareplus,
)
from activae.activations.rrelu import RReLU
from activae.activations.self_gated import ELiSH, GoLU, Logish, QuickGELU, Serf, Smish, Swish, TeLU
from activae.activations.slope import slope
from activae.activations.squashing import (
    ISRU,
    Arctan,
    Asinh,
    DynamicTanh,
    Erf,
    PenalizedTanh,
    ScaledTanh,
)
from activae.activations.units import is_elementwise, values_per_unit

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
