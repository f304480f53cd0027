"""The phases of a run: what trains when, and by which loss.

A way of training is a callable (net, total_steps) -> the phases, in order. Each phase is a training
of its own: its optimizer and its learning-rate schedule start afresh. What is validated, and kept
as the best checkpoint, is the whole autoencoder throughout.
"""

from activae.training.phases.halves import encoder_then_decoder, joint
from activae.training.phases.layerwise import layerwise
from activae.training.phases.phase import Phase

__all__ = ["Phase", "encoder_then_decoder", "joint", "layerwise"]
