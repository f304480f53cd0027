"""The multinomial log-likelihood."""

from torch import Tensor

from activae.models import Autoencoder
from activae.models.counts import LogShares, SharesOfTotal
from activae.objectives.demand import demands


@demands(
    output=SharesOfTotal,
    takes_output_for="logits, of which only the softmax times the sample's total makes counts",
    reads=LogShares,
    least=0.0,
    normalisation="none",
)
def multinomial(net: Autoencoder, x: Tensor) -> Tensor:
    """-sum_j x_j ln softmax(output)_j in nats; x [B, *shape] >= 0.

    Averaged over samples and divided by the number of features, as every objective is. Without the
    multinomial coefficient, which no network can change (Liang et al. 2018, Variational
    autoencoders for collaborative filtering). The network reads ln(1 + x / mean(x)); the
    reconstruction is softmax(output) times the sample's total, which is thus known beside the code.
    """
    head = net.output_activation
    assert isinstance(head, SharesOfTotal)
    log_shares = head.log_shares(net.logits(x).to(x.dtype))
    return -(x.flatten(1) * log_shares).mean()
