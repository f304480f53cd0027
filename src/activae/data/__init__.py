"""Data sets: from a file or a download to normalised samples and the order of their batches.

In goes what configs/data names. Readers in `sources` return a Source (arrays, or rows with a
Preparation that turns them into arrays), a seeded split divides it, a Normalisation scales it, and
the DataModule in `module` hands out the batches. Arrays too large for memory are read by `on_disk`;
`layout` keeps their splits and batches the same in both places.
"""

from activae.data.binarising import binarised, fixed_draw
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
    "binarised",
    "digits",
    "fit_normalisation",
    "fixed_draw",
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
