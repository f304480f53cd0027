"""How good reconstructions are, and how good linear ones would be: pure functions on tensors."""

from activae.results.scoring.cross_entropy import bce_above_floor, bce_floor
from activae.results.scoring.pca import PCA
from activae.results.scoring.reconstruction import ReconstructionScores, reconstruction_scores
from activae.results.scoring.similarity import structural_similarity

__all__ = [
    "PCA",
    "ReconstructionScores",
    "bce_above_floor",
    "bce_floor",
    "reconstruction_scores",
    "structural_similarity",
]
