"""Data sets: sources read arrays, a seeded split divides them, a normalisation scales them."""

from activae.data.arrays import array
from activae.data.bundled import digits
from activae.data.image_folder import image_folder
from activae.data.images import torchvision_images
from activae.data.noise import random_noise
from activae.data.normalisation import Normalisation, fit_normalisation
from activae.data.patches import natural_patches
from activae.data.source import Source
from activae.data.split import Split, split_indices

__all__ = [
    "Normalisation",
    "Source",
    "Split",
    "array",
    "digits",
    "fit_normalisation",
    "image_folder",
    "natural_patches",
    "random_noise",
    "split_indices",
    "torchvision_images",
]
