"""Data sets: sources read arrays, a seeded split divides them, a normalisation scales them."""

from activae.data.normalisation import Normalisation, fit_normalisation
from activae.data.preparation import Preparation, Unprepared, restored
from activae.data.source import Source
from activae.data.sources.arrays import array
from activae.data.sources.cells import h5ad, pbmc
from activae.data.sources.image_folder import image_folder
from activae.data.sources.images import digits, natural_patches, random_noise, torchvision_images
from activae.data.sources.tabular import tabular
from activae.data.sources.texts import newsgroups, text
from activae.data.split import Split, split_indices

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
