"""New samples of a finished run: codes drawn from its sampler, and decoded."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote
from typing import TYPE_CHECKING, Any

from torch import Size, Tensor

from activae.config.program import using
from activae.config.wording import is_count
from activae.errors import UserError
from activae.models.densities.kinds import KINDS, refuse_unsuited, settings_of
from activae.results import sampler as kept
from activae.results.sampler import FILE, Labels, Sampler, draw_codes, network_hash, save
from activae.results.sampling import training_codes
from activae.use.own_data import own_data

if TYPE_CHECKING:
    from activae.use.run import Run

__all__ = ["FILE", "KINDS", "Sampler", "fit", "fit_and_keep", "read", "sample", "save"]

Told = Callable[[int, int], None]  # how many densities are fitted, of how many


def fit(
    run: Run,
    codes: Tensor,
    kind: str = "gmm",
    *,
    labels: Labels | None = None,
    seed: int = 0,
    told: Told | None = None,
    **settings: Any,
) -> Sampler:
    """A density of codes [N, ...] of the run, and of the codes of each label [N].

    kind, settings: an option of configs/sampler, and what it takes, as the `components` of gmm
    (None: chosen by BIC). Raises UserError for a kind that does not suit the run, and as
    `activae.results.sampler.fit` does.
    """
    refuse(run, kind)
    takes = settings_of(KINDS[kind], {})
    for name in settings.keys() - takes.keys():
        raise UserError(f"{name}: the sampler {kind} takes {', '.join(takes) or 'no settings'}")
    network = network_hash(run.network, run.normalisation)
    return kept.fit(KINDS[kind], codes, network, labels=labels, seed=seed, told=told, **settings)


def fit_and_keep(
    run: Run, kind: str, x: Any, *, seed: int, told: Told | None = None, **settings: Any
) -> Sampler:
    """Fit a sampler and write it beside the run: see `Run.fit_sampler`."""
    refuse(run, kind)
    labels = None
    if x is None:
        try:
            data = own_data(run)
        except UserError as error:
            raise UserError(
                f"{error}; give INPUT (in Python, x), samples like those it was trained on"
            ) from error
        codes, labels = training_codes(run.encode_normalised, data, seed)
    else:
        codes = run.encode_normalised(run.to_network(x))
    found = fit(run, codes, kind, labels=labels, seed=seed, told=told, **settings)
    save(found, run.folder)
    return found


def refuse(run: Run, kind: str) -> None:
    """Raise UserError for a kind of sampler that there is not, or that does not suit the run."""
    if kind not in KINDS:
        raise UserError(f"sampler={kind}: choose one of {', '.join(KINDS)}")
    regularisers = run.config.get("regulariser") or {}
    refuse_unsuited(kind, run.network, regularisers, str(run.folder))


def sample(run: Run, n: int, seed: int, label: str | int | None, sampler: Sampler) -> Any:
    """n samples in the units of the data: see `Run.sample`."""
    if not is_count(n):
        raise UserError(f"n={n!r}: give a whole number of 1 or more")
    codes = draw_codes(run.network, sampler, int(n), seed, label)
    return run.decode(codes.reshape(n, *run.code_shape).numpy())


def read(run: Run) -> Sampler:
    """The sampler beside a run. Raises UserError where there is none, DataError for a bad file."""
    file = run.folder / FILE
    if not file.is_file():
        refuse(run, "gmm")
        raise UserError(
            f"{run.folder}: no sampler is fitted to this run; run "
            f"`{using()} fit-sampler {quote(str(run.folder))}`"
        )
    network = network_hash(run.network, run.normalisation)
    return kept.read(file, network, int(Size(run.code_shape).numel()))
