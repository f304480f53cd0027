"""A run's sampler: densities of its codes, fitted after training and kept in its folder.

`sampler.pt` holds them as tensors and plain values, with the hash of the network that they belong
to.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activae.config.program import using
from activae.config.wording import wrapped
from activae.errors import DataError, UserError
from activae.models import Autoencoder
from activae.models.densities.density import Density
from activae.models.densities.kinds import (
    KINDS,
    MOST_CODES,
    Fit,
    prior,
    restored,
    rows_to_fit,
    settings_of,
)
from activae.objectives.generative import prior_of
from activae.randomness import generator
from activae.results.run_folder import SAMPLER
from activae.training.files import write_whole
from activae.training.restoring import hash_of, read_tensors

log = logging.getLogger(__name__)

FILE = SAMPLER
_VERSION = 2
_PER_COMPONENT = 20  # codes of a class, at the least
_PER_DIMENSION = 4  # codes of a component: a covariance needs d + 1 to be one

Labels = NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """How densities are fitted: the kind, by its name in configs/sampler, settings and seed."""

    kind: str
    settings: Mapping[str, Any]
    seed: int


@dataclass(frozen=True, eq=False)
class Sampler:
    """Densities of a run's codes, flattened: of all of them, and of each class where known.

    codes: how many it was fitted to; network: hash of the network; notes: what is doubtful.
    """

    recipe: Recipe
    density: Density
    codes: int
    network: bytes
    by_class: Mapping[str, Density] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.recipe.kind == "prior":  # which is of no codes, and of no labels
            return "prior"
        classes = f", and of each of {len(self.by_class)} labels" if self.by_class else ""
        if len(self.by_class) == 1:
            classes = f", and of label {next(iter(self.by_class))}"
        chosen = ", chosen by BIC" if self.recipe.settings.get("components", 0) is None else ""
        return f"{self.recipe.kind} of {self.density}{chosen}, of {self.codes} codes{classes}"

    def __repr__(self) -> str:
        return f"<activae.Sampler {self}>"

    def took(self, seconds: float) -> str:
        """What is said of the time that it took to fit, behind its name: nothing of a prior."""
        return "" if self.recipe.kind == "prior" else f", fitted in {seconds:.1f} s"

    def of(self, label: str | int | None) -> Density:
        """The density of all codes, or of a class: 3 is that of `3 - three` too, as MNIST has it.

        Raises UserError where there is none.
        """
        if label is None:
            return self.density
        name = str(label)
        if name not in self.by_class:
            short = [each for each in self.by_class if each.partition(" - ")[0] == name]
            name = short[0] if len(short) == 1 else name
        if name not in self.by_class:
            is_prior = self.recipe.kind == "prior"
            why = "a prior is the same for all" if is_prior else "it was fitted without labels"
            known = ", ".join(self.by_class) or f"none, because {why}"
            raise UserError(f"label={label}: the sampler's labels are {known}")
        return self.by_class[name]


def draw_codes(
    net: Autoencoder, sampler: Sampler, n: int, seed: int, label: str | int | None = None
) -> Tensor:
    """n codes [n, d] of a sampler, or of its class; those of a spherical latent lie on the sphere.

    Raises UserError as `Sampler.of`.
    """
    return prior_of(net, sampler.of(label).sample(n, generator(seed, "samples")))


def network_hash(net: Autoencoder, normalisation: nn.Module) -> bytes:
    """What a sampler knows its network by: weights, and the way from raw data to it."""
    return hash_of((net, normalisation), repr(tuple(net.shape)))


def fit(
    make: Fit,
    codes: Tensor,
    network: bytes,
    *,
    labels: Labels | None = None,
    seed: int = 0,
    told: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Sampler:
    """A density of codes [N, ...], and of the codes of each label [N].

    make: one of `densities.kinds`, which takes the settings; told: hears how many densities are
    fitted, of how many. Of more than 50,000 codes so many are
    drawn at random. A label whose codes have no spread is left out, with a note; a prior has none.
    Raises UserError where all codes have no spread or are too few.
    """
    from natsort import natsorted  # here, because a run starts sooner without

    rows = rows_to_fit(len(codes), MOST_CODES, seed)
    flat = codes.detach()[rows.to(codes.device)].cpu().flatten(1)
    settings = settings_of(make, settings)
    known = np.array([])
    if labels is not None and make is not prior:  # which is the same whatever the codes
        known = np.asarray(labels)[rows.numpy()].astype(str)
    names = natsorted(set(known.tolist()))
    several = len(names) > 1
    classes = f", and to those of each of {len(names)} labels" if several else ""
    if make is not prior:
        log.info("%s", wrapped(f"fitting {make.__name__} to {len(flat)} codes{classes}"))
    density, notes = make(flat, seed=seed, **settings)
    by_class = dict.fromkeys(names, density)  # of one label alone it is that of all
    doubted: dict[str, list[str]] = {}  # which labels have a doubt
    for done, name in enumerate(names if several else (), start=1):
        if told is not None:
            told(done, len(names) + 1)
        own = flat[torch.from_numpy(known == name)]
        try:
            by_class[name], doubts = make(own, seed=seed, **_of_class(settings, own.shape))
        except UserError as error:
            del by_class[name]
            doubts = [f"left out: {error}"]
        for doubt in doubts:
            doubted.setdefault(doubt, []).append(name)
    if told is not None:
        told(len(names) + 1, len(names) + 1)
    for doubt, whose in doubted.items():
        notes.append(f"label{'s' if len(whose) > 1 else ''} {', '.join(whose)}: {doubt}")
    recipe = Recipe(make.__name__, settings, seed)
    return Sampler(recipe, density, len(flat), network, by_class, tuple(notes))


def _of_class(settings: Mapping[str, Any], shape: Sequence[int]) -> dict[str, Any]:
    """The settings for codes [n, d]: where a number of components is given, no more than n fill."""
    wanted = settings.get("components")
    if wanted is None:
        return dict(settings)
    codes, width = shape
    most = codes // max(_PER_COMPONENT, _PER_DIMENSION * (width + 1))
    return {**settings, "components": min(wanted, max(1, most))}


def save(sampler: Sampler, folder: Path) -> Path:
    """Write `sampler.pt`: tensors and plain values. Raises OSError."""
    content = io.BytesIO()
    parts = (sampler.density, *sampler.by_class.values())
    torch.save(
        {
            "version": _VERSION,
            **vars(sampler.recipe),
            "codes": sampler.codes,
            "network": sampler.network.hex(),
            "labels": list(sampler.by_class),
            "densities": [{"form": each.form, **each.parts()} for each in parts],
            "notes": list(sampler.notes),
        },
        content,
    )
    write_whole(folder / FILE, content.getbuffer())
    return folder / FILE


def read(file: Path, network: bytes, width: int) -> Sampler:
    """The sampler in a file, of codes of so many dimensions.

    Raises DataError for a file that is damaged or belongs to another network.
    """
    try:
        found = _from_parts(read_tensors(file), width)
    except UserError as error:
        raise DataError(f"{file}: {error}") from error
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        why = f"{type(error).__name__}: {str(error).partition('. ')[0]}"
        raise DataError(
            f"{file}: is damaged, or no sampler of this activae ({why}); {_again(file)}"
        ) from error
    if found.network != network:
        raise DataError(f"{file}: was fitted to another network than this run's; {_again(file)}")
    return found


def kept_recipe(file: Path) -> Recipe | None:
    """How the sampler in a file was fitted, to whatever network; None where nothing says so."""
    try:
        kept = read_tensors(file)
        return Recipe(kept["kind"], kept["settings"], kept["seed"])
    except Exception:  # whatever unpickling damaged bytes comes upon
        return None


def _again(file: Path) -> str:
    """How to fit it again: as it was, where the file still says how."""
    recipe = kept_recipe(file)
    if recipe is None or recipe.kind not in KINDS:
        return f"fit it again: `{using()} fit-sampler {quote(str(file.parent))} --force`"
    return f"fit it again: {to_fit(recipe, file.parent, force=True)}"


def to_fit(recipe: Recipe, folder: Path, *, force: bool = False) -> str:
    """The command that fits a sampler to the run in a folder, or else the Python, in backticks."""
    usual = settings_of(KINDS[recipe.kind], {})
    other = {name: v for name, v in recipe.settings.items() if v != usual.get(name)}
    if other.keys() - {"components"}:  # which the command has no option for
        given = {**other, **({"seed": recipe.seed} if recipe.seed else {})}
        arguments = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"`activae.load({str(folder)!r}).fit_sampler({recipe.kind!r}{arguments})` in Python"
    parts = [using(), "fit-sampler", quote(str(folder)), "--sampler", recipe.kind]
    if other:
        parts += ["--components", str(other["components"] or "bic")]
    if recipe.seed:
        parts += ["--seed", str(recipe.seed)]
    return f"`{' '.join([*parts, *(['--force'] if force else [])])}`"


def _from_parts(kept: Any, width: int) -> Sampler:
    if kept["version"] != _VERSION:
        raise ValueError(f"version {kept['version']}, not {_VERSION}")
    everything, *others = [restored(each, width) for each in kept["densities"]]
    recipe = Recipe(kept["kind"], kept["settings"], kept["seed"])
    by_class = dict(zip(kept["labels"], others, strict=True))
    network, notes = bytes.fromhex(kept["network"]), tuple(kept["notes"])
    return Sampler(recipe, everything, kept["codes"], network, by_class, notes)
