"""Mean squared error."""

from torch import Tensor
from torch.nn import functional as F

from activae.models import Autoencoder


def mse(net: Autoencoder, x: Tensor) -> Tensor:
    """Squared error of the reconstructions of x [B, *shape], mean over features and samples."""
    return F.mse_loss(net(x), x)
