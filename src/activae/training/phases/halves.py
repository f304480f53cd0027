"""All at once, or the encoder first and then the decoder."""

from __future__ import annotations

from activae.models import Autoencoder
from activae.training.phases.phase import Phase, boundaries, check_share


def joint(net: Autoencoder, total_steps: int) -> list[Phase]:
    """Encoder and decoder train together throughout."""
    return [Phase("joint", 0, total_steps)]


def encoder_then_decoder(
    net: Autoencoder, total_steps: int, *, encoder_share: float
) -> list[Phase]:
    """The encoder trains through a decoder as it was drawn; then the decoder, on the codes found.

    `encoder_share` is that of the steps; the code's activation belongs to the encoder, that of the
    output to the decoder. Runs are not stacked, for all members of a stack train the same
    parameters with one optimizer. Raises ConfigError unless the share lies between 0 and 1.
    """
    check_share("encoder_share", encoder_share)
    halves = {
        "encoder": ("encoder.", "code_activation.", "latent."),
        "decoder": ("decoder.", "output_activation."),
    }
    shares = (encoder_share, 1 - encoder_share)
    spans = boundaries(shares, total_steps, "encoder_then_decoder")
    return [
        Phase(name, start, end, trains)
        for (name, trains), (start, end) in zip(halves.items(), spans, strict=True)
    ]
