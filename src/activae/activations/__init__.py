"""Activations that torch lacks, and the figures that describe any activation."""

from activae.activations.custom import Custom
from activae.activations.gain import gain
from activae.activations.gated import GEGLU, GLU, Bilinear, CReLU, Maxout, ReGLU, SwiGLU
from activae.activations.output_range import output_range
from activae.activations.periodic import Sin, Siren, Snake
from activae.activations.rrelu import RReLU
from activae.activations.slope import slope
from activae.activations.units import is_elementwise, values_per_unit

__all__ = [
    "GEGLU",
    "GLU",
    "Bilinear",
    "CReLU",
    "Custom",
    "Maxout",
    "RReLU",
    "ReGLU",
    "Sin",
    "Siren",
    "Snake",
    "SwiGLU",
    "gain",
    "is_elementwise",
    "output_range",
    "slope",
    "values_per_unit",
]
