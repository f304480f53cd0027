"""Mean absolute error."""

from torch import Tensor
from torch.nn import functional as F

from activae.models import Autoencoder


def l1(net: Autoencoder, x: Tensor) -> Tensor:
    """Absolute error of the reconstructions of x [B, *shape], mean over features and samples."""
    return F.l1_loss(net(x), x)
