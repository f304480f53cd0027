"""What is minimised, as pure functions that declare what they need.

In: an autoencoder and a batch, which is samples [B, *shape] or a mapping with what the step draws
for them (`Noise`). Out: named scalar terms, whose sum (`total`) is minimised. Every term is a mean
over features and samples (a weight penalty: a plain sum over weights). `corruptions` are what a
denoising autoencoder's encoder is shown instead of the samples.
"""

from activae.objectives.batch import Batch, Noise
from activae.objectives.declared import Player, strengths_of, total
from activae.objectives.generative import (
    KL,
    MMD,
    Adversarial,
    Commitment,
    RAEGradient,
    RAESpectral,
    RAEWeights,
    TotalCorrelation,
)
from activae.objectives.importance import ImportanceWeighted, likelihood_of, log_evidence
from activae.objectives.losses import (
    Demand,
    bce,
    demands,
    huber,
    l1,
    mse,
    multinomial,
    nb,
    poisson,
    zinb,
)
from activae.objectives.objective import Objective, Regularised, of_batch
from activae.objectives.regularisers import (
    CodeL1,
    Contractive,
    HutchinsonContractive,
    KLSparse,
    Regulariser,
)

__all__ = [
    "KL",
    "MMD",
    "Adversarial",
    "Batch",
    "CodeL1",
    "Commitment",
    "Contractive",
    "Demand",
    "HutchinsonContractive",
    "ImportanceWeighted",
    "KLSparse",
    "Noise",
    "Objective",
    "Player",
    "RAEGradient",
    "RAESpectral",
    "RAEWeights",
    "Regularised",
    "Regulariser",
    "TotalCorrelation",
    "bce",
    "demands",
    "huber",
    "l1",
    "likelihood_of",
    "log_evidence",
    "mse",
    "multinomial",
    "nb",
    "of_batch",
    "poisson",
    "strengths_of",
    "total",
    "zinb",
]
