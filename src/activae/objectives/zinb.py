"""The zero-inflated negative binomial's negative log-likelihood."""

from functools import partial

from torch import Tensor

from activae.models import Autoencoder
from activae.models.counts import LogShares, NegativeBinomialHead, log_probability, totals
from activae.objectives.demand import demands


@demands(
    output=partial(NegativeBinomialHead, zero_inflated=True),
    takes_output_for="the logits of a zero-inflated negative binomial's means and extra zeros",
    outputs=2,
    reads=LogShares,
    least=0.0,
    counts=True,
    normalisation="none",
)
def zinb(net: Autoencoder, x: Tensor) -> Tensor:
    """-ln P(x) in nats, mean over features and samples; x [B, *shape] are counts.

    P(x) = pi [x = 0] + (1 - pi) NB(x; mu, theta), where mu = total * softmax(first output), pi =
    sigmoid(second output) and theta is learnt for each feature (Eraslan et al. 2019, Single-cell
    RNA-seq denoising using a deep count autoencoder; Lopez et al. 2018, scVI). The network reads
    ln(1 + x / mean(x)); the reconstruction is the mean (1 - pi) mu, so the sample's total is known
    beside the code. SE compares counts: large ones dominate it.
    """
    head = net.output_activation
    assert isinstance(head, NegativeBinomialHead)
    counts = x.flatten(1)
    return -log_probability(counts, head.distribution(net.logits(x), totals(x))).mean()
