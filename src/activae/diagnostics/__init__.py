"""Why an activation does well or badly: pure functions on tensors and modules."""

from activae.diagnostics.activations import LayerStatistics, activation_statistics
from activae.diagnostics.gradients import gradient_norms
from activae.diagnostics.nonfinite import first_nonfinite, first_nonfinite_parameter
from activae.diagnostics.pictures import reconstruction_grid, thumbnails
from activae.diagnostics.rank import effective_rank

__all__ = [
    "LayerStatistics",
    "activation_statistics",
    "effective_rank",
    "first_nonfinite",
    "first_nonfinite_parameter",
    "gradient_norms",
    "reconstruction_grid",
    "thumbnails",
]
