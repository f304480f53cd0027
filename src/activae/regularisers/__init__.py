"""What can be added to any objective to shape the code: (autoencoder, input) -> a penalty.

The input is what the encoder sees: with a `corruption`, the corrupted sample.
"""

from activae.regularisers.code_l1 import CodeL1
from activae.regularisers.contractive import Contractive, HutchinsonContractive
from activae.regularisers.kl_sparse import KLSparse
from activae.regularisers.regularised import Regularised
from activae.regularisers.regulariser import Regulariser

__all__ = [
    "CodeL1",
    "Contractive",
    "HutchinsonContractive",
    "KLSparse",
    "Regularised",
    "Regulariser",
]
