"""What can be added to any objective to shape the code: (autoencoder, input) -> a penalty.

The input is what the encoder sees: with a `corruption`, the corrupted sample.
"""

from activae.objectives.regularisers.code_l1 import CodeL1
from activae.objectives.regularisers.contractive import Contractive, HutchinsonContractive
from activae.objectives.regularisers.kl_sparse import KLSparse
from activae.objectives.regularisers.regularised import Regularised, draws_of, with_declared
from activae.objectives.regularisers.regulariser import Regulariser

__all__ = [
    "CodeL1",
    "Contractive",
    "HutchinsonContractive",
    "KLSparse",
    "Regularised",
    "Regulariser",
    "draws_of",
    "with_declared",
]
