"""Texts: the user's own, the newsgroups that scikit-learn fetches, and how they become numbers."""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from activae.data.preparation import Preparation, Unprepared
from activae.data.sources.files import encoded, files_below, read_text, shortened
from activae.data.sources.tables import open_table
from activae.errors import ConfigError, DataError

ENDINGS = (".txt", ".csv")
PARTS_OF_POSTS = ("headers", "footers", "quotes")


SETTINGS = ("max_features", "min_df", "stop_words", "sublinear_tf", "counts")


class _Texts(NamedTuple):
    """Texts, where each one stands, and what it is labelled with if anything."""

    texts: list[str]
    places: list[str]
    labels: list[str] | None
    note: str = ""


def text(
    path: str | Path,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    encoding: str = "utf-8-sig",
    skip_empty: bool = False,
    max_features: int | None = 2000,
    min_df: float = 2,
    stop_words: str | Sequence[str] | None = "english",
    sublinear_tf: bool = False,
    counts: bool = False,
) -> Unprepared:
    """Texts from a folder of `.txt` files, a `.csv` file or a `.txt` file with one text a line.

    Of a folder every `.txt` file at any depth is a text; the first sub-folder on the way to it is
    its label. Of a CSV file the first line names the columns. Words and their weights are learnt
    from the training split alone (`WordCounts`).

    Args:
        path: the folder or file.
        text_column: of a CSV file: the column with the texts, by name or index; None: `text`, or
            the only column but that of the labels.
        label_column: of a CSV file: the column with labels, by name or index.
        encoding: of the files; utf-8-sig is UTF-8 with or without a mark in front.
        skip_empty: leave out empty texts, which are an error otherwise.
        max_features, min_df, stop_words, sublinear_tf, counts: see `WordCounts`.

    Raises:
        ConfigError: a setting is invalid, or does not fit the file.
        DataError: nothing there, empty texts, another encoding.
    """
    preparation = partial(
        WordCounts,
        max_features=max_features,
        min_df=min_df,
        stop_words=stop_words,
        sublinear_tf=sublinear_tf,
        counts=counts,
    )
    preparation()  # checks its settings before the file is read
    place = Path(path).expanduser()
    found = _without_empty(place, _read(place, text_column, label_column, encoding), skip_empty)
    labels, names = encoded(found.labels)
    return Unprepared(
        name=str(place),
        train=as_rows(found.texts),
        preparation=preparation,
        train_labels=labels,
        class_names=names,
        note=found.note,
    )


def newsgroups(
    root: str | Path,
    remove: Sequence[str] = PARTS_OF_POSTS,
    max_features: int | None = 2000,
    min_df: float = 2,
    stop_words: str | Sequence[str] | None = "english",
    sublinear_tf: bool = False,
    counts: bool = False,
) -> Unprepared:
    """The 20 newsgroups: 18,846 posts of 1993, the group being the label (Lang 1995, NewsWeeder).

    Fetched by scikit-learn, 14 MB on first use. The test set is the one split off by date that
    comes with it (7,532 posts); words and their weights are learnt from the training split alone.
    Posts of which `remove` leaves nothing are left out.

    Args:
        root: the folder that holds or will hold scikit-learn's `20news-bydate_py3.pkz`.
        remove: which parts of a post to strip: headers, footers, quotes.
        max_features, min_df, stop_words, sublinear_tf, counts: see `WordCounts`.

    Raises:
        ConfigError: a setting is invalid.
        DataError: the download fails.
    """
    unknown = sorted(set(remove) - set(PARTS_OF_POSTS))
    if unknown:
        raise ConfigError(
            f"data.source.remove={list(remove)}: choose from {', '.join(PARTS_OF_POSTS)}."
        )
    preparation = partial(
        WordCounts,
        max_features=max_features,
        min_df=min_df,
        stop_words=stop_words,
        sublinear_tf=sublinear_tf,
        counts=counts,
    )
    preparation()
    train, test = (_fetch(Path(root).expanduser(), part, remove) for part in ("train", "test"))
    kept = [np.array([bool(post.strip()) for post in part.data]) for part in (train, test)]
    dropped = sum(int((~keep).sum()) for keep in kept)
    return Unprepared(
        name="newsgroups",
        train=as_rows(train.data)[kept[0]],
        preparation=preparation,
        train_labels=torch.as_tensor(train.target)[kept[0]],
        test=as_rows(test.data)[kept[1]],
        test_labels=torch.as_tensor(test.target)[kept[1]],
        class_names=tuple(train.target_names),
        note=f"{dropped} posts without {', '.join(remove)} are empty and left out." * bool(dropped),
    )


def as_rows(texts: Sequence[str]) -> np.ndarray:
    """Texts as an array of Python's strings, of which some can be picked by their places."""
    rows = np.empty(len(texts), dtype=object)
    rows[:] = texts
    return rows


CACHE = "20news-bydate_py3.pkz"  # scikit-learn's, which it unpickles
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
# What such a cache is made of, beside text and lists.
_PARTS = {
    *(("sklearn.utils", "Bunch"), ("sklearn.utils._bunch", "Bunch")),
    *(("numpy", "ndarray"), ("numpy", "dtype")),
    *((module, "_reconstruct") for module in _MULTIARRAY),
    *(("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")),
}


class _PartsAlone(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PARTS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def _refuse_code(cache: Path) -> None:
    """Raise DataError for a cache that would do more than give texts: data.root may be anybody's.

    One that cannot be read to its end is refused too: up to there it could do anything.
    """
    if not cache.exists():
        return
    try:
        _PartsAlone(io.BytesIO(zlib.decompress(cache.read_bytes()))).load()
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        raise DataError(
            f"{cache}: is damaged, or not what scikit-learn keeps of the newsgroups ({error}); "
            "delete it, and it is downloaded anew"
        ) from error


def _fetch(root: Path, part: str, remove: Sequence[str]):  # type: ignore[no-untyped-def]
    from sklearn.datasets import fetch_20newsgroups

    _refuse_code(root / CACHE)
    try:
        return fetch_20newsgroups(
            data_home=str(root), subset=part, remove=tuple(remove), shuffle=False
        )
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"newsgroups cannot be read from {root}: {error}. Check the connection and run again, "
            "copy 20news-bydate_py3.pkz there from another machine, or delete it there if it is "
            "damaged. data.root (or the environment variable ACTIVAE_DATA) names the folder."
        ) from error


def read_texts(path: Path, text_column: str | int | None, encoding: str) -> list[str]:
    """The texts that lie at a path, as `text` finds them. Raises what that raises."""
    return _without_empty(path, _read(path, text_column, None, encoding), False).texts


def _read(
    path: Path, text_column: str | int | None, label_column: str | int | None, encoding: str
) -> _Texts:
    if not path.exists():
        raise DataError(f"data.path={path}: there is no such file (looked in {Path.cwd()}).")
    if path.suffix.lower() == ".csv" and path.is_file():
        return _read_csv(path, text_column, label_column, encoding)
    for key, value in (("text_column", text_column), ("label_column", label_column)):
        if value is not None:
            raise ConfigError(
                f"data.source.{key}={value}: is for CSV files, and {path} is not one."
            )
    if path.is_dir():
        return _read_folder(path, encoding)
    if path.suffix.lower() not in ENDINGS:
        raise DataError(
            f"data.path={path}: unknown ending '{path.suffix}'; give a folder of .txt files, a "
            ".csv file or a .txt file with one text a line."
        )
    lines = io.StringIO(read_text(path, encoding), newline=None)
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return _Texts([line.strip() for _, line in numbered], [f"line {n}" for n, _ in numbered], None)


def _read_folder(folder: Path, encoding: str) -> _Texts:
    files, left_out = files_below(folder, (".txt",))
    if not files:
        raise DataError(f"data.path={folder}: holds no .txt file, not in sub-folders either.")
    names = [file.relative_to(folder) for file in files]
    labels = [name.parts[0] if len(name.parts) > 1 else "(no folder)" for name in names]
    texts = [read_text(file, encoding) for file in files]
    return _Texts(texts, [name.as_posix() for name in names], labels, left_out)


def _read_csv(
    path: Path, text_column: str | int | None, label_column: str | int | None, encoding: str
) -> _Texts:
    table = open_table(path, encoding)
    key = "data.source.label_column"
    label = None if label_column is None else table.index(key, label_column)
    if text_column is None:
        others = [name for number, name in enumerate(table.names) if number != label]
        text_column = others[0] if len(others) == 1 else "text"
        if text_column not in table.names:
            raise ConfigError(
                "data.source.text_column=null: name the column that holds the texts; "
                f"{path} has {shortened(table.names)}."
            )
    column = table.index("data.source.text_column", text_column)
    cells = table.cells()
    texts, labels = (
        None if place is None else [cell or "" for cell in cells.columns[place]]
        for place in (column, label)
    )
    assert texts is not None
    return _Texts(texts, cells.places, labels)


def _without_empty(path: Path, found: _Texts, skip_empty: bool) -> _Texts:
    full = [number for number, text in enumerate(found.texts) if text.strip()]
    if len(full) < len(found.texts) and not skip_empty:
        empty = [p for p, text in zip(found.places, found.texts, strict=True) if not text.strip()]
        raise DataError(
            f"{path}: {len(empty)} of {len(found.texts)} texts are empty: {shortened(empty, 3)}. "
            "Fill or remove them, or leave them out with data.source.skip_empty=true."
        )
    if not full:
        raise DataError(f"{path} holds no text.")
    return _Texts(
        [found.texts[number] for number in full],
        [found.places[number] for number in full],
        None if found.labels is None else [found.labels[number] for number in full],
        found.note,
    )


class WordCounts(Preparation):
    """The most frequent words of the training texts, and how much of each a text holds.

    A text becomes TF-IDF with length 1 (scikit-learn's TfidfVectorizer: tf * (ln((1 + n) / (1 +
    df)) + 1), then divided by the Euclidean norm), or with `counts` plain numbers of words.
    Rows are arrays of texts. Words are two or more letters or digits, in lower case.

    Args:
        max_features: how many words, the most frequent; None: all.
        min_df: in how many training texts a word must occur: a number, or a share as in 0.01.
        stop_words: words to leave out: "english" for scikit-learn's list, a list, or None.
        sublinear_tf: of TF-IDF: 1 + ln(count) instead of the count.
        counts: numbers of words instead of TF-IDF.

    Raises:
        ConfigError: a setting is invalid.
    """

    kind = "word_counts"

    def __init__(
        self,
        *,
        max_features: int | None,
        min_df: float,
        stop_words: str | Sequence[str] | None,
        sublinear_tf: bool,
        counts: bool,
    ) -> None:
        _check_settings(max_features, min_df, stop_words)
        if counts and sublinear_tf:
            raise ConfigError(
                "data.source.sublinear_tf=true: is for TF-IDF; leave it out with counts=true."
            )
        self.max_features = max_features
        self.min_df = int(min_df) if min_df >= 1 else float(min_df)  # what counts, what is a share
        self.stop_words = stop_words if isinstance(stop_words, str | None) else list(stop_words)
        self.sublinear_tf = sublinear_tf
        self.counts = counts
        self.vectoriser: Any = None

    @property
    def features(self) -> list[str]:
        """The words, in alphabetical order."""
        return [str(word) for word in self.vectoriser.get_feature_names_out()]

    def fit(self, rows: Any) -> None:
        """Learn the words and how rare they are. DataError where no word remains."""
        vectoriser = self._vectoriser(max_features=self.max_features, min_df=self.min_df)
        try:
            vectoriser.fit(rows)
        except ValueError as error:
            raise DataError(
                f"the {len(rows)} training texts leave no word to learn from "
                f"({str(error).rstrip('.')}): lower data.source.min_df={self.min_df}, set "
                "data.source.stop_words=null, or bring texts of more words."
            ) from error
        self.vectoriser = vectoriser

    def transform(self, rows: Any) -> Tensor:
        """TF-IDF or counts [N, words] of texts [N]; words that were not learnt are passed over."""
        values = self.vectoriser.transform(rows).astype(np.float32)
        return torch.from_numpy(values.toarray())

    def note(self, samples: Tensor) -> str:
        """How many texts hold none of the words."""
        empty = int((samples == 0).all(1).sum())
        if not empty:
            return ""
        return (
            f"{empty} of {len(samples)} texts hold none of the {samples.shape[1]} words that were "
            "learnt: they are rows of zeros."
        )

    def state(self) -> dict[str, Any]:
        """Settings, words in the order of the features and, of TF-IDF, their weights."""
        settings = {name: getattr(self, name) for name in SETTINGS}
        idf = None if self.counts else self.vectoriser.idf_.tolist()
        return settings | {"words": self.features, "idf": idf}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The preparation that `state` was taken from."""
        self = cls(**{name: state[name] for name in SETTINGS})
        self.vectoriser = self._vectoriser(vocabulary=state["words"])
        if state["idf"] is not None:
            self.vectoriser.idf_ = np.array(state["idf"])
        return self

    def _vectoriser(self, **settings: Any) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

        settings["stop_words"] = self.stop_words
        if self.counts:
            return CountVectorizer(**settings)
        return TfidfVectorizer(**settings, sublinear_tf=self.sublinear_tf)


def _check_settings(
    max_features: int | None, min_df: float, stop_words: str | Sequence[str] | None
) -> None:
    if max_features is not None and max_features < 1:
        raise ConfigError(
            f"data.source.max_features={max_features}: give how many words, 1 or more, or null."
        )
    if min_df < 0 or not (min_df < 1 or float(min_df).is_integer()):
        raise ConfigError(
            f"data.source.min_df={min_df}: give a number of texts, 1 or more, or a share below 1."
        )
    if isinstance(stop_words, str) and stop_words != "english":
        raise ConfigError(
            f"data.source.stop_words={stop_words}: give english, a list of words, or null."
        )
