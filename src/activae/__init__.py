"""activae: find out which activation function an autoencoder should use."""

__version__ = "0.1.0"
