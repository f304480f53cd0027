"""Losses as pure functions: (autoencoder, batch) -> named terms, whose sum is minimised.

Every term is a mean over features and samples (a weight penalty: a plain sum over weights), so that
a learning rate means the same at any image size and batch size.
"""

from activae.objectives.bce import bce
from activae.objectives.demand import Demand, demands
from activae.objectives.huber import huber
from activae.objectives.l1 import l1
from activae.objectives.mse import mse
from activae.objectives.multinomial import multinomial
from activae.objectives.nb import nb
from activae.objectives.objective import Objective
from activae.objectives.poisson import poisson
from activae.objectives.zinb import zinb

__all__ = [
    "Demand",
    "Objective",
    "bce",
    "demands",
    "huber",
    "l1",
    "mse",
    "multinomial",
    "nb",
    "poisson",
    "zinb",
]
