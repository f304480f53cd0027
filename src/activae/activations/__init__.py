"""Activations that torch lacks, and the figures that describe any activation."""

from activae.activations.custom import Custom
from activae.activations.gain import gain
from activae.activations.output_range import output_range
from activae.activations.periodic import Sin, Snake
from activae.activations.rrelu import RReLU
from activae.activations.slope import slope

__all__ = ["Custom", "RReLU", "Sin", "Snake", "gain", "output_range", "slope"]
