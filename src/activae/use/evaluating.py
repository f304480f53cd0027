"""How good a finished run's new samples are, beside real ones and reconstructions.

In: a run, and the data set that it was trained on or samples like it. Out: a SampleScores.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from activae.config.wording import wrapped
from activae.errors import UserError
from activae.models.densities.kinds import KINDS, MOST_CODES
from activae.randomness import generator
from activae.results.claims import claim
from activae.results.run_folder import METRICS, ended, read_metrics, write_metrics
from activae.results.sampler import FILE, Sampler, draw_codes, kept_recipe
from activae.results.samples.features import Features
from activae.results.samples.inception import Inception
from activae.results.samples.own import kept_in
from activae.results.samples.scoring import Reference, SampleScores, Splits, score_samples
from activae.use.evidence import normalised
from activae.use.own_data import own_data
from activae.use.sampling import fit, refuse

if TYPE_CHECKING:
    from activae.use.run import Run

log = logging.getLogger(__name__)

_FEW = 0.1  # of given samples may be training samples by chance, as rows of a table are
DEFAULT = "gmm"  # where a run keeps no sampler, and none is asked for


def evaluate(
    run: Run,
    sampler: str | None,
    *,
    n: int | None,
    seed: int,
    real: Any,
    inception: str | Path | None,
) -> SampleScores:
    """Figures of a run's samples: see `Run.evaluate`."""
    refuse(run, sampler or DEFAULT)
    found = _kept(run, sampler)  # before the classifier is trained: it may not be this run's
    splits = _own(run) if real is None else _given(run, real)
    features = _features(run, splits, inception)
    reference = Reference.of(splits, features, n)
    if real is not None and reference.held is not None:
        trained_on = (reference.held == 0).double().mean().item()
        if trained_on > _FEW:
            log.warning(
                "%s",
                wrapped(
                    f"note   {100 * trained_on:.0f} % of INPUT are samples that the run was "
                    "trained on: nearest train says nothing then; give others"
                ),
            )
    if found is None:
        codes = run.encode_normalised(splits.drawn(MOST_CODES, "train")[0])
        found = fit(run, codes, sampler or DEFAULT, seed=seed)

    def draw(number: int) -> Tensor:
        return run.decode_normalised(draw_codes(run.network, found, number, seed))

    return score_samples(reference, draw, run.reconstruct_normalised, str(found))


def keep(run: Run, scores: SampleScores, sampler: str | None) -> None:
    """Write figures into the run's metrics.json, where compare finds them, below `samples`.

    sampler: the kind, where one was asked for; the figures lie below `samples/KIND` then. Raises
    UserError for a run that has not ended.
    """
    with claim(run.folder):
        metrics = read_metrics(run.folder)
        if metrics is None or ended(run.folder) is None:
            raise UserError(
                f"{run.folder}: is not the folder of a run that has ended; go without --keep"
            )
        place = f"samples/{sampler}" if sampler else "samples"
        before, new = metrics.get("samples") or {}, scores.as_metrics()
        others = {name: part for name, part in before.items() if name in KINDS}
        metrics["samples"] = before | {sampler: new} if sampler else new | others
        write_metrics(run.folder, metrics)
        run.metrics = metrics
    log.info("%s: keeps these figures, as %s", run.folder / METRICS, f"{place}/frechet")


def _own(run: Run) -> Splits:
    """Those of the run's own data set."""
    try:
        return _read(run)
    except UserError as error:
        raise UserError(
            f"{error}: samples are compared with real ones; give INPUT, samples like those that it "
            "was trained on"
        ) from error


def _given(run: Run, real: Any) -> Splits:
    """Samples given to compare with, beside those that the run was trained on.

    Where these are gone, one half of the samples stands for them: nothing says then whether the
    run repeats what it was trained on.
    """
    x = normalised(run, real)
    try:
        return replace(_read(run), real=x, real_labels=None, split="INPUT")
    except UserError as error:
        why = str(error)
    order = torch.randperm(len(x), generator=generator(0, "halves of real samples"))
    train, others = (x[rows.to(x.device)] for rows in order.tensor_split(2))
    low, high = run.spec.raw_range

    def shown(values: Tensor) -> Tensor:
        if not run.spec.is_image:
            return values
        raw: Tensor = run.normalisation.inverse(values)  # type: ignore[operator]
        return (raw - low) / (high - low)

    return Splits(
        train,
        others,
        None,
        None,
        shown,
        "INPUT",
        "INPUT",
        draws_pixels=run.spec.binarise is not None,
        left_out=why,
    )


def _read(run: Run) -> Splits:
    """The splits of the run's own data. Raises UserError where these are not at hand."""
    data = own_data(run)
    data.to(run.device, next(run.network.parameters()).dtype)
    return Splits.of(data)


def _features(run: Run, splits: Splits, inception: str | Path | None) -> Features:
    if inception is None:
        return splits.features(kept_in(run.folder))
    if not run.spec.is_image or run.spec.shape[0] not in (1, 3):
        raise UserError(
            f"--inception: FID is for images of 1 or 3 channels; this run is on {run.spec.name}, "
            f"samples of shape {list(run.spec.shape)}"
        )
    return Inception(Path(inception), run.device)


def _kept(run: Run, kind: str | None) -> Sampler | None:
    """The sampler kept with the run, if it is of the kind; None where there is no such.

    Raises DataError where it is damaged or another network's.
    """
    file = run.folder / FILE
    if not file.is_file():
        return None
    recipe = kept_recipe(file)
    return run.sampler if kind is None or (recipe and recipe.kind == kind) else None
