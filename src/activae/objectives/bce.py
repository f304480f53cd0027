"""Binary cross-entropy."""

from torch import Tensor, nn
from torch.nn import functional as F

from activae.models import Autoencoder
from activae.objectives.demand import demands


@demands(
    output=lambda shape: nn.Sigmoid(),
    takes_output_for="a probability, which only the sigmoid makes of it",
    least=0.0,
    most=1.0,
    normalisation="unit_range",
)
def bce(net: Autoencoder, x: Tensor) -> Tensor:
    """Cross-entropy in nats of x [B, *shape] in [0, 1], mean over features and samples.

    Taken from the logits, which stays exact where a sigmoid would round to 0 or 1; the output
    activation has to be the sigmoid.
    """
    return F.binary_cross_entropy_with_logits(net.logits(x), x)
