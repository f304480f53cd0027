"""The data set that a finished run was trained on, where it is still at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.config.identity import data_changed
from activae.data.sources.images import FOLDERS
from activae.data.sources.texts import CACHE
from activae.errors import UserError
from activae.training.assembly import build_data

if TYPE_CHECKING:
    from activae.data.module import AutoencoderDataModule
    from activae.use.run import Run


def own_data(run: Run) -> AutoencoderDataModule:
    """The splits of the run, normalised as it saw them; nothing is downloaded.

    Raises UserError where the data are not on this machine, or have changed since.
    """
    if not _is_here(run.config["data"]["source"]):
        raise UserError(f"{run.spec.name}: has not been downloaded here")
    if data_changed(run.config, run.metrics.get("data_content")):
        raise UserError(f"{run.spec.name}: has changed since the run was trained")
    try:
        return build_data(run.restored.config)
    except UserError as error:  # which others say more after
        raise UserError(str(error).rstrip(".")) from error


def _is_here(source: dict[str, Any]) -> bool:
    """Whether nothing has to be downloaded for these data."""
    if source.get("root") is None:
        return True
    place = Path(source["root"]).expanduser() / FOLDERS.get(source.get("name", ""), CACHE)
    return place.is_file() or any(file.is_file() for file in place.rglob("*"))
