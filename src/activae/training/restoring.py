"""From a run's folder alone to its network, and to the way from raw data to the network and back.

No data set and no Lightning: what a checkpoint holds is enough. Opening a folder runs no code of
its own: only tensors and plain values are read, and what the config names is checked first.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.config.own_code import edited_code
from activae.config.run_folders import refuse_unless_run
from activae.config.settling import CONFIG, container, read
from activae.config.trust import refuse_untrusted
from activae.data.normalisation import Normalisation
from activae.data.other_data import SampleTable, other_samples, other_table
from activae.data.preparation import Preparation, restored
from activae.data.spec import DataSpec
from activae.errors import DataError
from activae.models import Autoencoder
from activae.training.files import BEST, parts_of
from activae.training.network import build_network
from activae.training.published import load_published, published_in

log = logging.getLogger(__name__)

HASH_BYTES = 8


@dataclass(frozen=True, eq=False)
class Restored:
    """What a finished run left.

    Attributes:
        net: with the best weights, in evaluation mode, on the CPU.
        normalisation: from raw samples [N, *spec.shape] to what `net` takes, and back.
        preparation: from rows of another kind to raw samples; None where they came as numbers.
        spec, config: of the data, and of the run.
    """

    net: Autoencoder
    normalisation: Normalisation
    preparation: Preparation | None
    spec: DataSpec
    config: DictConfig

    def samples(self, path: str | Path) -> Tensor:
        """Raw samples [N, *spec.shape] of another file, for `normalisation` and then `net`.

        Columns are matched with the training data's by name. Raises what `other_samples` raises.
        """
        source = container(self.config)["data"]["source"]
        return other_samples(path, source, self.spec, self.preparation)

    def table(self, path: str | Path) -> SampleTable:
        """What `samples` reads, of a table, for as many rows at a time as one likes."""
        source = container(self.config)["data"]["source"]
        return other_table(path, source, self.spec, self.preparation)


def load_network(folder: str | Path, trusted: Sequence[str] = ()) -> Restored:
    """The network of the run in a folder, with its best weights and what belongs to it.

    A folder that scripts/use.py export wrote (`training.published`) is opened likewise.

    trusted: modules beside our own that its config may name; they are imported. Raises ConfigError
    for a config that names others, DataError where a file is damaged or missing.
    """
    folder = Path(folder)
    refuse_unless_run(folder)
    config = read(folder / CONFIG)
    unused = ("logger", "sampler")  # nothing is logged or fitted
    needed = {key: node for key, node in container(config).items() if key not in unused}
    refuse_untrusted(needed, trusted)
    for path in edited_code(container(config)):
        log.warning(
            "%s: %s has been edited since the run was trained: the network may compute something "
            "else than it did",
            folder,
            path,
        )
    file = published_in(folder) or folder / BEST
    checkpoint = load_checkpoint(file) if file == folder / BEST else load_published(file)
    with parts_of(file):
        spec = _spec(checkpoint, config)
        preparation = restored(checkpoint["preparation"])
    with torch.random.fork_rng(devices=[]):  # layers draw weights, which are replaced
        net = build_network(config, spec)
    normalisation = Normalisation(torch.zeros(spec.shape), torch.ones(spec.shape), (0.0, 1.0))
    state: dict[str, Tensor] = checkpoint["state_dict"]
    dtype = state["normalisation.scale"].dtype
    with parts_of(file):
        for module, name in ((net, "net."), (normalisation, "normalisation.")):
            own = {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}
            module.to(dtype).load_state_dict(own)
    return Restored(net.eval(), normalisation, preparation, spec, config)


def _spec(checkpoint: dict[str, Any], config: DictConfig) -> DataSpec:
    """The spec that a checkpoint holds; of one written before there were specs, the data's own."""
    if "spec" in checkpoint:
        return DataSpec.from_dict(checkpoint["spec"])
    from activae.training.assembly import build_data  # imports Lightning

    return build_data(config).spec


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and primitives, on the CPU; never runs code from the file.

    Raises DataError where the file is damaged, be it in one bit, or holds anything else.
    """
    try:
        checkpoint = read_tensors(path)
        if not checkpoint["state_dict"]["normalisation.scale"].is_floating_point():
            raise TypeError("its normalisation is of integers")
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file: the run has no checkpoint yet, or it was not copied "
            "with the folder; get it from where the folder came, or train the run"
        ) from None
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        reason = f"{type(error).__name__}: {str(error).partition('. ')[0]}"
        raise DataError(
            f"{path}: cannot be read as a checkpoint ({reason}); without the folder {path.parent} "
            "the run can be trained from its start"
        ) from error
    return checkpoint


def hash_of(modules: Iterable[nn.Module], about: str) -> bytes:
    """Eight bytes that tell modules apart by their tensors; about: what else is to count."""
    found = hashlib.blake2b(about.encode(), digest_size=HASH_BYTES, person=b"aez")
    for number, module in enumerate(modules):
        for name, tensor in sorted(module.state_dict().items()):
            found.update(f"{number} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.digest()


def read_tensors(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote, if it is tensors and primitives; never runs code from the file.

    Raises whatever unpickling damaged bytes comes upon, ValueError for a single bit that differs.
    """
    with ZipFile(path) as archive:
        altered = archive.testzip()  # which torch does not look at
    if altered is not None:
        raise ValueError(f"{altered} differs from its checksum")
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found
