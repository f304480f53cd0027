"""Results into a file, by its ending, or into a folder: part by part, and whole at the end."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.image_folder import ENDINGS as IMAGES
from activae.errors import ConfigError, DataError
from activae.training.files import whole, write_whole
from activae.use.forms import SCORE
from activae.use.streams import is_table

FILE = "file"  # the column that names the file of a row


class Writer(ABC):
    """Takes parts of results; nothing is at the target before `finish`, whatever happens."""

    def __init__(self, target: Path, rows: int, verb: str, names: Sequence[str]) -> None:
        """rows: how many will come; names: of the file of each row, if it has one."""
        self.target, self.all_rows, self.verb, self.names = target, rows, verb, names
        self.rows = 0
        self.held = ExitStack()

    def add(self, part: Any) -> None:
        """Take the next part: an array, DataFrame, Series, AnnData or list of images."""
        self.write(part)
        self.rows += len(part)

    @abstractmethod
    def write(self, part: Any) -> None:
        """Write a part."""

    def finish(self) -> None:
        """Put the file in its place."""
        self.held.close()

    def close(self) -> None:
        """Drop what is not finished; nothing after `finish`."""
        with suppress(_Dropped):
            self.held.__exit__(_Dropped, _Dropped(), None)

    def frame(self, part: Any) -> Any:
        """A part as a DataFrame, with the names of files where rows have some."""
        import pandas as pd

        if is_table(part, "anndata"):
            part = part.to_df()
        if isinstance(part, pd.Series):
            part = part.to_frame()
        if not isinstance(part, pd.DataFrame):
            values = _array(part)
            flat = values.reshape(len(values), prod(values.shape[1:]))  # also of no rows
            label = {"encode": "code", "score": SCORE}.get(self.verb, "x")
            names = [label] if values.ndim == 1 else [f"{label}{n}" for n in range(flat.shape[1])]
            part = pd.DataFrame(flat, columns=names)
        if self.names:
            part = part.reset_index(drop=True)
            part.insert(0, FILE, list(self.names[self.rows : self.rows + len(part)]))
        return part


class _Dropped(Exception):
    pass


class _Npy(Writer):
    handle: Any = None

    def write(self, part: Any) -> None:
        values = np.ascontiguousarray(_array(part))
        if self.handle is None:
            self.handle = self.held.enter_context(whole(self.target))
            header = {
                "descr": np.lib.format.dtype_to_descr(values.dtype),
                "fortran_order": False,
                "shape": (self.all_rows, *values.shape[1:]),
            }
            np.lib.format.write_array_header_1_0(self.handle, header)
        self.handle.write(values.tobytes())


class _Npz(Writer):
    def write(self, part: Any) -> None:
        if not self.rows:
            self.parts: list[NDArray[Any]] = []
        self.parts.append(_array(part))

    def finish(self) -> None:
        arrays = {"data": np.concatenate(self.parts)}
        if self.names:
            arrays["names"] = np.array(self.names)
        with whole(self.target) as handle:
            np.savez(handle, allow_pickle=False, **arrays)


class _Csv(Writer):
    handle: Any = None

    def write(self, part: Any) -> None:
        first = self.handle is None
        if first:
            self.handle = self.held.enter_context(whole(self.target))
        separator = "\t" if self.target.suffix.lower() == ".tsv" else ","
        text = self.frame(part).to_csv(index=False, header=first, sep=separator)
        self.handle.write(text.encode())


class _Parquet(Writer):
    out: Any = None

    def write(self, part: Any) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise ConfigError(
                f"{self.target}: needs pyarrow: pip install 'activae[parquet]'"
            ) from error
        table = pyarrow.Table.from_pandas(self.frame(part), preserve_index=False)
        if self.out is None:
            handle = self.held.enter_context(whole(self.target))
            self.out = parquet.ParquetWriter(handle, table.schema)
            self.held.callback(self.out.close)
        self.out.write_table(table)


class _H5ad(Writer):
    """The values of X grow with each part; the table of cells is kept until the end."""

    file: Any = None

    def write(self, part: Any) -> None:
        try:
            import anndata
            import h5py
        except ImportError as error:
            raise ConfigError(
                f"{self.target}: needs anndata: pip install 'activae[bio]'"
            ) from error
        cells = part
        if not is_table(part, "anndata"):
            frame = self.frame(part).reset_index(drop=True)
            cells = anndata.AnnData(frame.set_axis((frame.index + self.rows).astype(str)))
        if self.file is None:
            handle = self.held.enter_context(whole(self.target))
            self.file = self.held.enter_context(h5py.File(handle, "w"))
            self.var, self.obs = cells.var, []
            shape = (self.all_rows, *cells.X.shape[1:])
            self.values = self.file.create_dataset("X", shape, cells.X.dtype)
        self.values[self.rows : self.rows + len(part)] = cells.X
        self.obs.append(cells.obs)

    def finish(self) -> None:
        import anndata
        import pandas as pd

        of_all = anndata.AnnData(obs=pd.concat(self.obs), var=self.var)
        anndata.io.write_elem(self.file, "rest", of_all)
        for name in list(self.file["rest"]):
            self.file.move(f"rest/{name}", name)
        for place, like in (("/", self.file["rest"]), ("X", None)):
            kind = {"encoding-type": "array", "encoding-version": "0.2.0"}
            self.file[place].attrs.update(kind if like is None else dict(like.attrs))
        del self.file["rest"]
        super().finish()


class _Image(Writer):
    def write(self, part: Any) -> None:
        if self.all_rows != 1:
            raise DataError(
                f"{self.target}: is one image, and there are {self.all_rows}; give a folder (a "
                "name without an ending), or .npy"
            )
        self.image = _images(part)[0]

    def finish(self) -> None:
        _write_image(self.target, self.image)


class _Folder(Writer):
    """Files gather in a hidden folder, beside the target or in it, until they are complete."""

    partial: Path | None = None

    def write(self, part: Any) -> None:
        if self.verb == "score":
            raise DataError(f"{self.target}: a folder holds no scores; give .csv, .npy or .parquet")
        if self.partial is None:
            self.partial = self._new_partial()
        are_codes = self.verb == "encode"
        for place, each in enumerate(_array(part) if are_codes else _images(part), self.rows):
            file = self.partial / self._name(place, ".npy" if are_codes else ".png")
            file.parent.mkdir(parents=True, exist_ok=True)
            if are_codes:
                content = io.BytesIO()
                np.save(content, each)
                write_whole(file, content.getvalue(), durable=False)
            else:
                _write_image(file, each, durable=False)

    def finish(self) -> None:
        if self.partial is None:
            self.partial = self._new_partial()
        if not self.target.exists():
            self.partial.rename(self.target)
        else:
            for file in sorted(each for each in self.partial.rglob("*") if each.is_file()):
                place = self.target / file.relative_to(self.partial)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
        super().finish()

    def _new_partial(self) -> Path:
        """A new folder on the target's disk, which is gone at the end."""
        parent = self.target if self.target.is_dir() else self.target.parent
        try:
            found = Path(tempfile.mkdtemp(prefix=f".{self.target.name}.", dir=parent))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.target)) from error
        self.held.callback(shutil.rmtree, found, ignore_errors=True)
        found.chmod(0o777 & ~_umask())
        return found

    def _name(self, place: int, ending: str) -> str:
        """That of the row's own file with another ending; both, where several would be alike."""
        if not self.names:
            return f"{place:0{len(str(self.all_rows - 1))}d}{ending}"
        name = Path(self.names[place])
        alone = self._alike[name.with_suffix("")] == 1
        return str(name.with_suffix(ending)) if alone else f"{name}{ending}"

    @cached_property
    def _alike(self) -> Counter[Path]:
        return Counter(Path(name).with_suffix("") for name in self.names)


_KINDS: dict[str, Callable[..., Writer]] = {
    ".npy": _Npy,
    ".npz": _Npz,
    ".csv": _Csv,
    ".tsv": _Csv,
    ".parquet": _Parquet,
    ".h5ad": _H5ad,
    "": _Folder,
}


def writer(
    target: Path, rows: int, verb: str, files: Sequence[Path], folder: Path | None
) -> Writer:
    """What writes a target of that ending. files: of each row; folder: that they lie in.

    Raises DataError for an ending that is not known.
    """
    ending = target.suffix.lower()
    if target.is_dir():
        ending = ""
    kind = _Image if ending in IMAGES else _KINDS.get(ending)
    if kind is None:
        raise DataError(
            f"{target}: unknown ending '{ending}'; give {', '.join(filter(None, _KINDS))}, a "
            "picture's, or none for a folder"
        )
    if kind is _Folder and target.exists() and not target.is_dir():
        raise DataError(f"{target}: is no folder, which a name without an ending stands for")
    names = [str(file.relative_to(folder)) if folder else file.name for file in files]
    return kind(target, rows, verb, names)


def shows_images(target: Path) -> bool:
    """Whether what is written there are pictures, or a folder of them."""
    return target.suffix.lower() in (*IMAGES, "") or target.is_dir()


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _array(part: Any) -> NDArray[Any]:
    """A part as an array of numbers. DataError where it has words."""
    if is_table(part, "anndata"):
        part = part.X
    if isinstance(part, list):
        return np.stack([np.asarray(image) for image in part])
    values = part.to_numpy() if hasattr(part, "to_numpy") else np.asarray(part)
    if values.dtype.kind not in "buif":
        raise DataError("these results have words in them: give OUTPUT as .csv or .parquet")
    return values


def _images(part: Any) -> list[Any]:
    """A part as Pillow's images. DataError where it is none."""
    if isinstance(part, list):
        return part
    from PIL import Image

    values = part if isinstance(part, np.ndarray) else None
    if values is None or values.dtype != np.uint8 or values.ndim not in (3, 4):
        raise DataError("these results are no images of 8 bits: give OUTPUT as .npy or .csv")
    if values.ndim == 4 and values.shape[1] in (1, 3):
        values = np.moveaxis(values, 1, -1)
    return [Image.fromarray(each.squeeze(-1) if each.shape[-1] == 1 else each) for each in values]


def _write_image(file: Path, image: Any, *, durable: bool = True) -> None:
    content = io.BytesIO()
    image.save(content, "png" if file.suffix.lower() == ".png" else None, **_format(file))
    write_whole(file, content.getvalue(), durable=durable)


def _format(file: Path) -> dict[str, str]:
    from PIL import Image

    Image.init()
    return {} if file.suffix.lower() == ".png" else {"format": Image.EXTENSION[file.suffix.lower()]}
