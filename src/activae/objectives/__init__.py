"""Losses as pure functions: (autoencoder, batch) -> named terms, whose sum is minimised.

Every term is a mean over features and samples (a weight penalty: a plain sum over weights), so that
a learning rate means the same at any image size and batch size.
"""

from activae.objectives.bce import bce
from activae.objectives.huber import huber
from activae.objectives.l1 import l1
from activae.objectives.mse import mse
from activae.objectives.objective import Objective

__all__ = ["Objective", "bce", "huber", "l1", "mse"]
