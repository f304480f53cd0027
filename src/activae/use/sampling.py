"""New samples: a density fitted to a finished run's codes, codes drawn from it, and decoded.

The density is kept beside the run as plain tensors, in `sampler.pt`, with what it was fitted to.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from activae.config.program import using
from activae.errors import DataError, UserError
from activae.objectives.generative import prior_of
from activae.randomness import generator
from activae.training.files import write_whole
from activae.training.restoring import read_tensors
from activae.use import mixtures
from activae.use.compression.packing import decoder_hash
from activae.use.mixtures import Mixture

if TYPE_CHECKING:
    from activae.use.run import Run

FILE = "sampler.pt"
KINDS = ("gmm", "gaussian", "kde", "prior")
MOST_CODES = 50_000  # that a density is fitted to
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Sampler:
    """Densities of a run's codes, flattened: of all of them, and of each class where known.

    kind: one of KINDS; codes: how many it was fitted to; network: hash of the decoder; notes: what
    is doubtful.
    """

    kind: str
    mixture: Mixture
    codes: int
    network: bytes
    by_class: Mapping[str, Mixture] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, label: str | int | None) -> Mixture:
        """The density of all codes, or of a class. Raises UserError where there is none."""
        if label is None:
            return self.mixture
        if str(label) not in self.by_class:
            known = ", ".join(self.by_class) or "none, because it was fitted without labels"
            raise UserError(f"label={label}: the sampler's labels are {known}")
        return self.by_class[str(label)]


def fit(
    run: Run,
    codes: Tensor,
    kind: str = "gmm",
    *,
    labels: np.ndarray[Any, Any] | None = None,
    components: int | None = mixtures.COMPONENTS,
    seed: int = 0,
) -> Sampler:
    """A density of codes [N, ...] of the run, and of the codes of each label [N].

    kind: gmm (so many `components`; None: chosen by BIC), gaussian, kde, or prior: that of a latent
    which is trained towards one. Of more than 50,000 codes so many are drawn at random. A label
    whose codes have no spread is left out, with a note. Raises UserError for a kind that does not
    suit the run, and where all codes have no spread or are too few.
    """
    _check(run, kind, components)
    flat = codes.detach().cpu().reshape(len(codes), -1)
    order = torch.randperm(len(flat), generator=generator(seed, "codes of the sampler"))
    rows = order[:MOST_CODES].sort().values
    flat = flat[rows]
    mixture, notes = _fitted(flat, kind, components, seed)
    by_class: dict[str, Mixture] = {}
    if labels is not None:
        known = np.asarray(labels)[rows.numpy()].astype(str)
        for name in sorted(set(known.tolist()), key=lambda each: (len(each), each)):
            own = flat[torch.from_numpy(known == name)]
            fewer = None if components is None else min(components, max(1, len(own) // 20))
            try:
                by_class[name], doubts = _fitted(own, kind, fewer, seed)
            except UserError as error:
                doubts = [f"left out: {error}"]
            notes += [f"label {name}: {doubt}" for doubt in doubts]
    return Sampler(kind, mixture, len(flat), decoder_hash(run), by_class, tuple(notes))


def sample(run: Run, n: int, seed: int, label: str | int | None, sampler: Sampler) -> Any:
    """n samples in the units of the data: see `Run.sample`."""
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise UserError(f"n={n!r}: give a whole number of 1 or more")
    drawn = sampler.of(label).sample(int(n), generator(seed, "samples"))
    codes = prior_of(run.network, drawn)  # of a spherical latent, onto the sphere
    return run.decode(codes.reshape(n, *run.code_shape).numpy())


def save(sampler: Sampler, folder: Path) -> Path:
    """Write `sampler.pt`: tensors and plain values. Raises OSError."""
    content = io.BytesIO()
    parts = (sampler.mixture, *sampler.by_class.values())
    torch.save(
        {
            "version": _VERSION,
            "kind": sampler.kind,
            "codes": sampler.codes,
            "network": sampler.network.hex(),
            "labels": list(sampler.by_class),
            "mixtures": [vars(each) for each in parts],
        },
        content,
    )
    write_whole(folder / FILE, content.getbuffer())
    return folder / FILE


def read(run: Run) -> Sampler:
    """The sampler beside a run. Raises UserError where there is none, DataError for a bad file."""
    file = run.folder / FILE
    if not file.is_file():
        raise UserError(
            f"{run.folder}: no sampler is fitted to this run; run "
            f"`{using()} fit-sampler {quote(str(run.folder))}`"
        )
    try:
        found = _from_parts(read_tensors(file), int(torch.Size(run.code_shape).numel()))
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        why = f"{type(error).__name__}: {str(error).partition('. ')[0]}"
        raise DataError(
            f"{file}: is damaged, or no sampler of this activae ({why}); fit it again"
        ) from error
    if found.network != decoder_hash(run):
        raise DataError(f"{file}: was fitted to another network than this run's; fit it again")
    return found


def _from_parts(kept: Any, width: int) -> Sampler:
    if kept["version"] != _VERSION:
        raise ValueError(f"version {kept['version']}, not {_VERSION}")
    everything, *others = [Mixture(**each) for each in kept["mixtures"]]
    for each in (everything, *others):
        number = len(each.log_weights)
        if each.means.shape != (number, width) or each.factors.shape[1:] != (width, width):
            raise ValueError("densities of another width")
        if len(each.factors) not in (1, number) or not number:
            raise ValueError("densities without a spread")
    by_class = dict(zip(kept["labels"], others, strict=True))
    return Sampler(
        kept["kind"], everything, kept["codes"], bytes.fromhex(kept["network"]), by_class
    )


def _check(run: Run, kind: str, components: int | None) -> None:
    if kind not in KINDS:
        raise UserError(f"sampler={kind}: choose one of {', '.join(KINDS)}")
    if components is not None and components < 1:
        raise UserError(f"components={components}: give a whole number of 1 or more")
    latent = run.network.latent
    if latent is not None and latent.kind == "vq":
        raise UserError(
            f"{run.folder}: codes of latent=vq are words of a codebook, and these samplers draw "
            "between words; train with another latent, as latent=gaussian"
        )
    towards = {"mmd", "adversarial"} & set(run.config.get("regulariser") or {})
    if kind == "prior" and latent is None and not towards:
        raise UserError(
            f"{run.folder}: nothing trained this run's codes towards a prior; use the sampler gmm, "
            "or train with experiment=vae, wae or aae"
        )
    if run.shares_totals:
        raise UserError(
            f"{run.folder}: this run's output shares out each sample's total, which its code does "
            "not hold, so that it cannot make samples; train one with another objective"
        )


def _fitted(
    codes: Tensor, kind: str, components: int | None, seed: int
) -> tuple[Mixture, list[str]]:
    if kind == "prior":
        return mixtures.standard(codes.shape[1]), []
    if kind == "gaussian":
        return mixtures.gaussian(codes), []
    if kind == "kde":
        return mixtures.kernel_density(codes, generator(seed, "kernels")), []
    return mixtures.gaussian_mixture(codes, components, seed)
