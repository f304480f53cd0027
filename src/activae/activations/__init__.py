"""Activations that torch lacks, and the figures that describe any activation."""

from activae.activations.custom import Custom
from activae.activations.gain import gain
from activae.activations.moments import Moments, moments
from activae.activations.nonmonotonic import GCU, Gaussian, LiSHT
from activae.activations.output_range import output_range
from activae.activations.periodic import Sin, Snake
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
from activae.activations.self_gated import (
    ELiSH,
    GoLU,
    Logish,
    QuickGELU,
    Serf,
    Smish,
    Swish,
    TeLU,
)
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

__all__ = [
    "GCU",
    "ISRLU",
    "ISRU",
    "XIELU",
    "Arctan",
    "Asinh",
    "BentIdentity",
    "Custom",
    "DynamicTanh",
    "ELiSH",
    "Erf",
    "Gaussian",
    "GoLU",
    "LiSHT",
    "Logish",
    "Moments",
    "PenalizedTanh",
    "QuickGELU",
    "RReLU",
    "Rational",
    "ReLUSquared",
    "ScaledTanh",
    "Serf",
    "ShiftedSoftplus",
    "Sin",
    "SmeLU",
    "Smish",
    "Snake",
    "Squareplus",
    "Swish",
    "TeLU",
    "gain",
    "moments",
    "output_range",
    "slope",
]
