"""activae: find out which activation function an autoencoder should use."""

import logging

__version__ = "0.1.0"

# What these say while they are imported (a font cache is built, CUDA_HOME is set where no GPU is)
# is of no use to anybody who trains. Here, because activae is imported before them.
for _name in ("matplotlib.font_manager", "torch.utils.cpp_extension"):
    logging.getLogger(_name).setLevel(logging.ERROR)
