"""activae: find out which activation function an autoencoder should use.

This is the public surface; what is not named here is internal. Importing it takes no time: a name
is imported from its module when it is first used.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from activae.training import light_imports

if TYPE_CHECKING:
    from activae.compare.collect import collect
    from activae.data.module import AutoencoderDataModule
    from activae.data.source import Source
    from activae.data.spec import DataSpec
    from activae.models.autoencoder import Autoencoder
    from activae.models.building import conv_autoencoder, mlp_autoencoder
    from activae.results.run import train
    from activae.training.module import AutoencoderModule
    from activae.use.estimators import AutoencoderDetector, AutoencoderTransformer
    from activae.use.loading import load

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "AutoencoderDataModule",
    "AutoencoderDetector",
    "AutoencoderModule",
    "AutoencoderTransformer",
    "DataSpec",
    "Source",
    "collect",
    "conv_autoencoder",
    "load",
    "mlp_autoencoder",
    "train",
]

_HOMES = {
    "Autoencoder": "activae.models.autoencoder",
    "AutoencoderDataModule": "activae.data.module",
    "AutoencoderDetector": "activae.use.estimators",
    "AutoencoderModule": "activae.training.module",
    "AutoencoderTransformer": "activae.use.estimators",
    "DataSpec": "activae.data.spec",
    "Source": "activae.data.source",
    "collect": "activae.compare.collect",
    "conv_autoencoder": "activae.models.building",
    "load": "activae.use.loading",
    "mlp_autoencoder": "activae.models.building",
    "train": "activae.results.run",
}

light_imports.defer()

# What these say while they are imported (a font cache is built, CUDA_HOME is set where no GPU is)
# is of no use to anybody who trains. Here, because activae is imported before them.
for _name in ("matplotlib.font_manager", "torch.utils.cpp_extension"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
