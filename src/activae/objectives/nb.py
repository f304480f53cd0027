"""The negative binomial's negative log-likelihood."""

from functools import partial

from torch import Tensor

from activae.models import Autoencoder
from activae.models.counts import LogShares, NegativeBinomialHead, log_probability, totals
from activae.objectives.demand import demands


@demands(
    output=partial(NegativeBinomialHead, zero_inflated=False),
    takes_output_for="the logits of a negative binomial's means",
    reads=LogShares,
    least=0.0,
    counts=True,
    normalisation="none",
)
def nb(net: Autoencoder, x: Tensor) -> Tensor:
    """-ln P(x) in nats under a negative binomial, mean over features and samples; x are counts.

    mu = total * softmax(output), variance mu + mu^2 / theta with theta learnt for each feature
    (Lopez et al. 2018, scVI). The network reads ln(1 + x / mean(x)); the reconstruction is mu, so
    the sample's total is known beside the code. SE compares counts: large ones dominate it.
    """
    head = net.output_activation
    assert isinstance(head, NegativeBinomialHead)
    counts = x.flatten(1)
    return -log_probability(counts, head.distribution(net.logits(x), totals(x))).mean()
