"""How good reconstructions are, and how good linear ones would be: pure functions on tensors."""

from activae.scoring.cross_entropy import bce_above_floor, bce_floor
from activae.scoring.pca import PCA
from activae.scoring.reconstruction import ReconstructionScores, reconstruction_scores
from activae.scoring.similarity import structural_similarity

__all__ = [
    "PCA",
    "ReconstructionScores",
    "bce_above_floor",
    "bce_floor",
    "reconstruction_scores",
    "structural_similarity",
]
