"""Data sets: sources read arrays, a seeded split divides them, a normalisation scales them."""

from activae.data.arrays import array
from activae.data.bundled import digits
from activae.data.image_folder import image_folder
from activae.data.images import torchvision_images
from activae.data.noise import random_noise
from activae.data.normalisation import Normalisation, fit_normalisation
from activae.data.patches import natural_patches
from activae.data.preparation import Preparation, Unprepared, restored
from activae.data.single_cells import h5ad, pbmc
from activae.data.source import Source
from activae.data.split import Split, split_indices
from activae.data.tabular import tabular
from activae.data.texts import newsgroups, text

__all__ = [
    "Normalisation",
    "Preparation",
    "Source",
    "Split",
    "Unprepared",
    "array",
    "digits",
    "fit_normalisation",
    "h5ad",
    "image_folder",
    "natural_patches",
    "newsgroups",
    "pbmc",
    "random_noise",
    "restored",
    "split_indices",
    "tabular",
    "text",
    "torchvision_images",
]
