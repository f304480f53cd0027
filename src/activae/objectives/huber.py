"""Huber's loss."""

from torch import Tensor
from torch.nn import functional as F

from activae.errors import ConfigError
from activae.models import Autoencoder


def huber(net: Autoencoder, x: Tensor, *, delta: float) -> Tensor:
    """Half the squared error up to delta, linear beyond; mean over features and samples.

    Huber 1964, Robust estimation of a location parameter.
    Raises ConfigError unless delta > 0.
    """
    if not delta > 0:
        raise ConfigError(f"objective.reconstruction.delta={delta}: must be greater than 0")
    return F.huber_loss(net(x), x, delta=delta)
