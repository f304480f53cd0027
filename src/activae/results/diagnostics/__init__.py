"""Why an activation does well or badly: pure functions on tensors and modules."""

from activae.results.diagnostics.activations import LayerStatistics, activation_statistics
from activae.results.diagnostics.gradients import gradient_norms
from activae.results.diagnostics.nonfinite import first_nonfinite, first_nonfinite_parameter
from activae.results.diagnostics.pictures import reconstruction_grid, thumbnails
from activae.results.diagnostics.rank import effective_rank

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
