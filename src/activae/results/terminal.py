"""What the terminal says at the end of a run: the scores beside PCA's, and what to try next."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from activae.config.instantiating import activation_label
from activae.config.settling import container
from activae.config.wording import wrapped
from activae.results.evaluation import is_exact, ratio_to_pca
from activae.results.samples.told import table as table_of_samples

# Test and train error may differ a little by chance; a fifth is a gap worth acting on.
OVERFIT_RATIO = 1.2
OUTPUTS = Path("outputs")
_NAMES = {
    "SE": "SE (squared error a sample)",
    "MSE": "MSE",
    "BCE": "BCE above its floor (nats)",
    "PSNR": "PSNR (dB)",
    "SSIM": "SSIM",
    "explained_variance": "explained variance",
}
_PROBED = {
    "accuracy": "labels told by a linear probe",
    "knn_accuracy": "labels told by 5 nearest",
    "nmi": "k-means and labels, NMI",
    "ari": "k-means and labels, ARI",
}
SMALL_CODE = 8
_TO_A_PRIOR = ("mmd", "adversarial")  # regularisers
_SMALL_MLP = {"encoder": [64, 32], "decoder": [32, 64]}  # the default, whose next size has a name
_ERRORS = ("SE", "MSE", "BCE")  # of which a ratio makes sense


def conclude(metrics: dict[str, Any], cfg: DictConfig, folder: Path) -> None:
    """Print the run's table, hints, and where to look next."""
    # Names of runs and folders may hold brackets, which rich would take for its markup.
    console = Console(markup=False, emoji=False, highlight=False)
    show(metrics, f"{activation_label(cfg)} on {cfg.data.name}", console)
    for hint in hints(metrics, cfg):
        console.print(wrapped(f"hint   {hint}"))
    epoch = metrics["best_epoch"]  # from 0, as in metrics.json and history.csv
    best = f"best after epoch {epoch + 1} (best_epoch={epoch}, which counts from 0)"
    console.print(wrapped(f"took   {_time(metrics)}; {best}"))
    console.print(f"run    {_from_here(folder)}", soft_wrap=True)
    if cfg.logger.tensorboard:
        console.print(f"look   tensorboard --logdir {_log_root(folder)}", soft_wrap=True)


def show(metrics: dict[str, Any], title: str, console: Console) -> None:
    """Print the table of scores: this run, PCA with the same dimension, the ratio.

    Below them what the code is worth as features, where that was probed, and how good new samples
    are, where these were scored.
    They are those on test, or on val where test is not scored.
    """
    table = Table(title=title, title_justify="left")
    stage = "test" if metrics["test"] else "val"
    table.add_column(f"{stage} split")
    for column in ("this run", f"PCA, {metrics['pca']['dim']} dims", "ratio"):
        table.add_column(column, justify="right")
    run, pca = metrics[stage], metrics["pca"][stage]
    for name, text in _NAMES.items():
        if run[name] is None and pca[name] is None:
            continue
        ratio = ratio_to_pca(name, run, pca) if name in _ERRORS else None
        of_pca = "exact" if name in _ERRORS and is_exact(pca) else _number(pca[name])
        table.add_row(text, _number(run[name]), of_pca, _number(ratio))
    probed: dict[str, Any] = metrics.get("probe") or {}
    for name, text in _PROBED.items() if probed else ():
        table.add_row(text, _number(probed[name]), _number(probed["pca"][name]), "")
    if nll := metrics.get("nll"):
        text = f"NLL (nats, {nll['codes']} codes)"
        table.add_row(text, _number(nll[stage]), "", "")
    console.print(table)
    if probed:
        linear, nearest = (_number(probed["raw"][name]) for name in ("accuracy", "knn_accuracy"))
        note = f"note   from the raw values: linear probe {linear}, 5 nearest {nearest}"
        console.print(wrapped(note))
    if samples := metrics.get("samples"):
        console.print("\n".join(["new samples", *table_of_samples(samples)]))
    if run["BCE"] is None and metrics["train"]["BCE"] is not None:
        note = (
            f"note   BCE is left out: the {stage} split has values outside [0, 1], in which the "
            "training split lies."
        )
        console.print(wrapped(note))


def hints(metrics: dict[str, Any], cfg: DictConfig) -> Iterator[str]:
    """What the figures of train and val suggest, most important first; test is for the table."""
    train, val = metrics["train"]["SE"], metrics["val"]["SE"]
    if train > 0 and val / train > OVERFIT_RATIO:
        yield (
            f"It overfits: SE is {val / train:.2f} times as high on val as on train. Remedies: "
            f"{'; '.join(_remedies(cfg))}."
        )
    if is_exact(metrics["pca"]["val"]):
        yield (
            f"PCA reconstructs these data exactly from {cfg.encoding.dim} dimensions, so there is "
            "nothing left to learn. Take a smaller code (encoding.dim)."
        )
    elif val > metrics["pca"]["val"]["SE"] and "kl" in cfg.regulariser:
        yield _held_back(metrics, cfg)
    elif val > metrics["pca"]["val"]["SE"] and "words" in cfg.latent:
        words, parts = cfg.latent.words, cfg.latent.parts
        yield (
            f"PCA with as many dimensions reconstructs better, from {cfg.encoding.dim} numbers: "
            f"here a code is {parts} of {words} words, {parts * log2(words):.3g} bits. Try more "
            "parts (latent.parts), more words (latent.words), more steps (trainer.max_epochs)."
        )
    elif val > metrics["pca"]["val"]["SE"]:
        code = min(SMALL_CODE, metrics["pca"]["dim"] // 2)
        smaller = f", or a smaller code (encoding.dim={code}), which PCA cannot use as well"
        yield (
            f"PCA with as many dimensions does better. {_price_of_a_prior(cfg)}Try more steps "
            f"(trainer.max_epochs){_larger(cfg)}"
            f"{smaller if cfg.encoding.dim > SMALL_CODE and code else ''}."
        )


def _price_of_a_prior(cfg: DictConfig) -> str:
    """A sentence where a regulariser draws codes to a prior, which costs what kl costs a VAE."""
    keys = [f"regulariser.{name}" for name in _TO_A_PRIOR if name in cfg.regulariser]
    if not keys:
        return ""
    weights = " or ".join(f"{key}.weight" for key in keys)
    return (
        f"{' and '.join(keys)} {'draws' if len(keys) == 1 else 'draw'} the codes to a prior, and "
        "reconstructions pay for samples that can be drawn from it: a smaller "
        f"{weights} lowers the price. "
    )


def _held_back(metrics: dict[str, Any], cfg: DictConfig) -> str:
    """Why a VAE reconstructs no better than PCA: what its code may say costs it nats."""
    latent = metrics["diagnostics"]["latent"]
    active, units = int(latent["active_units"]), int(latent["units"])
    if not active:
        return (
            "The code says nothing of the sample, so that all reconstructions are alike: the note "
            "on posterior collapse, above, says what helps."
        )
    return (
        f"PCA with as many dimensions reconstructs better: here {active} of {units} units say "
        "something of the sample, and regulariser.kl makes them pay for it. That is the price of "
        "codes that can be drawn from a prior; a smaller regulariser.kl.beta lowers it, more steps "
        f"(trainer.max_epochs){_larger(cfg)} may help."
    )


def _larger(cfg: DictConfig) -> str:
    """How to widen the layers, by keys that the run's halves have; empty where they have none."""
    if all(list(cfg[half].get("hidden") or ()) == widths for half, widths in _SMALL_MLP.items()):
        return ", wider layers (encoder=deep_mlp decoder=deep_mlp)"
    wider = [f"{key}={_doubled(container(OmegaConf.select(cfg, key)))}" for key in _widths(cfg)]
    return f", wider layers ({' '.join(wider)})" if wider else ""


def _widths(cfg: DictConfig) -> list[str]:
    """The keys that hold the widths of the two halves, where these are known."""
    keys = [f"{half}.{key}" for half in _SMALL_MLP for key in ("hidden", "channels", "width")]
    return [key for key in keys if OmegaConf.select(cfg, key)]


def _doubled(widths: int | list[int]) -> str:
    if isinstance(widths, list):
        return f"[{','.join(str(2 * width) for width in widths)}]"
    return str(2 * widths)


def _remedies(cfg: DictConfig) -> Iterator[str]:
    if cfg.data.train_fraction < 1:
        yield "more data (data.train_fraction=1)"
    else:
        yield "more training data"
    fewer = f", smaller {' and '.join(_widths(cfg))}" if _widths(cfg) else ""
    yield f"a smaller model (encoding.dim={max(1, cfg.encoding.dim // 2)}{fewer})"
    if not cfg.objective.get("l2") and not cfg.objective.get("l1"):
        yield "weight regularisation (objective.l2=1e-5 or objective.l1=1e-6)"
    else:
        yield "stronger weight regularisation (objective.l2, objective.l1)"
    if cfg.trainer.early_stopping_patience is None:
        yield "early stopping (trainer.early_stopping_patience=5)"


def _time(metrics: dict[str, Any]) -> str:
    """What the run has taken: in all by this launch, in its steps by those before it too."""
    all_, fit, steps = metrics["seconds"]["all"], metrics["seconds"]["fit"], metrics["steps"]
    if fit > all_:
        return f"{all_:.1f} s; {steps} steps took {fit:.1f} s, those of earlier launches included"
    return f"{all_:.1f} s, {fit:.1f} s of it in {steps} steps"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _from_here(folder: Path) -> Path:
    """The folder as it can be named here, which is shorter where it lies below."""
    here, there = Path.cwd(), folder.resolve()
    return there.relative_to(here) if here in there.parents else folder


def _log_root(folder: Path) -> Path:
    """The folder that TensorBoard is to read: all runs, where this one is among them."""
    return OUTPUTS if OUTPUTS.resolve() in folder.resolve().parents else folder
