"""FID: the Frechet distance of Inception's features, where its published weights are at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from activae.errors import DataError, UserError

FEW = 2048  # dimensions of its features: the covariance of fewer samples is not of full rank
_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
_ROWS = 50


class Inception:
    """The features that FID is defined on (Heusel et al. 2017), as torch-fidelity takes them.

    file: weights-inception-2015-12-05-6726825d.pth, which torch-fidelity publishes. Images of one
    channel become grey ones of three. Raises UserError where torch-fidelity is missing, DataError
    for a file that is not its weights.
    """

    name = "Inception's features"
    accuracy = None

    def __init__(self, file: Path, device: torch.device) -> None:
        self.hash = _hash(file)
        self.net = _network(file).to(device)
        self.device = device

    @torch.inference_mode()
    def points(self, x: Tensor) -> Tensor:
        """Features [N, 2048] of images x [N, C, H, W] in [0, 1]; C is 1 or 3."""
        found = []
        for part in x.split(_ROWS):
            pixels = (part.float() * 255).round().clamp(0, 255).to(torch.uint8)
            colours = pixels.expand(-1, 3, -1, -1).to(self.device)
            found.append(self.net(colours)[0].cpu())
        return torch.cat(found)

    def labels(self, x: Tensor) -> None:
        """None: its classes are those of photographs, not of the data."""


def _hash(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(
            f"--inception={file}: cannot be read ({error.strerror}); give the path of {_WEIGHTS}, "
            "which torch-fidelity publishes"
        ) from error


def _network(file: Path) -> nn.Module:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise UserError("--inception needs torch-fidelity: pip install 'activae[fid]'") from error
    try:
        # It would unpickle anything. What torch reads as weights alone runs no code there either.
        torch.load(file, map_location="cpu", weights_only=True)
        made: nn.Module = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(file)
        )
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"--inception={file}: does not hold the weights {_WEIGHTS}") from error
    return made
