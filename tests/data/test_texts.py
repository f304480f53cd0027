"""Texts from files, and the newsgroups, as word counts and TF-IDF."""

from __future__ import annotations

import codecs
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.utils import Bunch

from activae.data import newsgroups, text
from activae.data.sources.texts import WordCounts
from activae.errors import ConfigError, DataError

TEXTS = [
    "the ship sails the sea",
    "sea and salt, salt and sea",
    "a bird in the wind",
    "wind wind wind",
    "ship in the wind",
    "a bird on a ship",
]
PLAIN: dict[str, Any] = {"min_df": 1, "stop_words": None}


def csv_file(folder: Path, header: str = "text,topic", name: str = "mine.csv") -> Path:
    rows = [f'"{words}",{"sky" if "wind" in words else "sea"}' for words in TEXTS]
    (folder / name).write_text("\n".join([header, *rows]))
    return folder / name


def test_tf_idf_is_scikit_learns_and_knows_the_training_texts_alone(tmp_path: Path) -> None:
    source = text(csv_file(tmp_path), **PLAIN).prepared(torch.tensor([0, 2, 4]))

    expected = TfidfVectorizer().fit([TEXTS[0], TEXTS[2], TEXTS[4]]).transform(TEXTS).toarray()
    np.testing.assert_allclose(source.train, expected, rtol=1e-6)
    assert source.preparation is not None
    assert source.preparation.features == ["bird", "in", "sails", "sea", "ship", "the", "wind"]


def test_counts_are_numbers_of_words(tmp_path: Path) -> None:
    source = text(csv_file(tmp_path), counts=True, **PLAIN).prepared(torch.arange(6))

    expected = CountVectorizer().fit_transform(TEXTS).toarray()
    assert source.train.dtype == torch.float32
    np.testing.assert_array_equal(source.train, expected)


def test_the_most_frequent_words_are_kept_and_stop_words_left_out(tmp_path: Path) -> None:
    source = text(csv_file(tmp_path), max_features=1, min_df=1).prepared(torch.arange(6))

    assert source.preparation is not None
    assert source.preparation.features == ["wind"]  # as often as "the"


def test_texts_without_a_known_word_are_told_of(tmp_path: Path) -> None:
    source = text(csv_file(tmp_path), **PLAIN).prepared(torch.tensor([2, 3]))

    assert "1 of 6 texts hold none of the 4 words" in source.note
    assert (source.train == 0).all(1).tolist() == [False, True, False, False, False, False]


def test_a_csv_files_columns(tmp_path: Path) -> None:
    by_name = text(csv_file(tmp_path, "body,topic"), text_column="body", label_column="topic")
    by_index = text(csv_file(tmp_path, "body,topic"), text_column=0, label_column=-1)
    the_other = text(csv_file(tmp_path, "body,topic"), label_column="topic")

    for found in (by_name, by_index, the_other):
        assert list(found.train) == TEXTS  # type: ignore[call-overload]
        assert found.class_names == ("sea", "sky")
        assert found.train_labels is not None
        assert found.train_labels.tolist() == [0, 0, 1, 1, 1, 0]


def test_cells_of_a_csv_file_may_hold_lines_and_be_long(tmp_path: Path) -> None:
    long = "word " * 40_000
    (tmp_path / "mine.csv").write_text(f'text;n\r\n"two\nlines; one text";1\r\n{long};2\r\n')

    found = text(tmp_path / "mine.csv")

    assert list(found.train) == ["two\nlines; one text", long.strip()]  # type: ignore[call-overload]


def test_a_folder_of_texts_is_labelled_by_its_sub_folders(tmp_path: Path) -> None:
    for number, words in enumerate(TEXTS, start=6):
        folder = tmp_path / ("sky" if "wind" in words else "sea") / "deeper"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(words)
    (tmp_path / "readme.md").write_text("not a text")

    found = text(tmp_path)

    assert list(found.train) == [TEXTS[n] for n in (0, 1, 5, 2, 3, 4)]  # type: ignore[call-overload]
    assert found.class_names == ("sea", "sky")


def test_a_folder_without_sub_folders_has_no_labels(tmp_path: Path) -> None:
    for number, words in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(words)

    assert text(tmp_path).train_labels is None


def test_a_text_file_holds_a_text_a_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes("\r\n\r\n".join(TEXTS).encode("utf-8-sig"))

    found = text(tmp_path / "mine.txt")

    assert list(found.train) == TEXTS  # type: ignore[call-overload]
    assert found.train_labels is None


def test_another_encoding_is_read_when_named(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes("café\ngarçon".encode("latin-1"))

    with pytest.raises(DataError, match=r"mine\.txt is not text in utf-8-sig.*byte 3.*latin-1"):
        text(tmp_path / "mine.txt")
    found = text(tmp_path / "mine.txt", encoding="latin-1")
    assert list(found.train) == ["café", "garçon"]  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match=r"data\.source\.encoding=utf-99"):
        text(tmp_path / "mine.txt", encoding="utf-99")


def test_empty_texts_are_named_or_left_out(tmp_path: Path) -> None:
    for number, words in enumerate(["", *TEXTS, "  \n"]):
        (tmp_path / f"{number}.txt").write_text(words)

    with pytest.raises(DataError, match=r"2 of 8 texts are empty: 0\.txt, 7\.txt.*skip_empty=true"):
        text(tmp_path)
    assert list(text(tmp_path, skip_empty=True).train) == TEXTS  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "content", "settings", "said"),
    [
        ("mine.doc", "words", {}, "unknown ending '.doc'"),
        ("mine.txt", "", {}, "holds no text"),
        ("mine.csv", "text\n", {}, "a header but no rows below it"),
        ("mine.csv", "", {}, "has no rows"),
        ("mine.csv", "text,b\none,two\nthree", {}, "line 3: 1 columns, but the first line has 2"),
        ("mine.csv", "a,a\none,two", {}, "columns 1 and 2 are both named 'a'"),
        ("mine.csv", "a,b\none,two", {}, "data.source.text_column=null: name the column"),
        ("mine.csv", "a,b\none,two", {"text_column": "c"}, "data.source.text_column=c: .*a, b"),
        ("mine.csv", "text,b\n1,2", {"label_column": 7}, "data.source.label_column=7"),
        ("mine.txt", "words", {"text_column": "a"}, "data.source.text_column=a: is for CSV files"),
    ],
)
def test_files_that_cannot_be_used(
    name: str, content: str, settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises((ConfigError, DataError), match=said):
        text(tmp_path / name, **settings)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        text(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        text(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_features": 0}, "data.source.max_features=0"),
        ({"min_df": 1.5}, "data.source.min_df=1.5"),
        ({"min_df": -1}, "data.source.min_df=-1"),
        ({"stop_words": "german"}, "data.source.stop_words=german: give english, a list"),
        ({"counts": True, "sublinear_tf": True}, "data.source.sublinear_tf=true"),
    ],
)
def test_settings_of_no_sense(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        text(csv_file(tmp_path), **settings)


@pytest.mark.parametrize("settings", [{"min_df": 5}, {"stop_words": ["sea", "salt", "and"]}])
def test_a_vocabulary_of_nothing_is_explained(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"mine\.csv: the .* leave no word .*data\.source\.min_df=.*stop_words=null"
    ):
        text(csv_file(tmp_path), **(PLAIN | settings)).prepared(torch.tensor([1, 1]))


@pytest.mark.parametrize("counts", [False, True])
def test_what_is_stored_makes_the_same_numbers_of_new_texts(counts: bool) -> None:
    first = WordCounts(
        max_features=5, min_df=0.1, stop_words=["the"], sublinear_tf=not counts, counts=counts
    )
    first.fit(TEXTS)

    again = WordCounts.from_state(first.state())

    new = ["sea sea bird", "none of these", TEXTS[0]]
    assert again.transform(new).equal(first.transform(new))
    assert again.state() == first.state()
    assert again.features == first.features


@pytest.fixture
def cached_newsgroups(tmp_path: Path) -> Path:
    """scikit-learn's own cache, of a few posts."""
    letter = "From: a@b.c\nSubject: hello\n\n{}\n"
    posts = [*map(letter.format, TEXTS), letter.format("")]

    def part(texts: list[str]) -> Bunch:
        return Bunch(
            data=texts,
            target=np.arange(len(texts)) % 2,
            target_names=["rec.boats", "sci.birds"],
            filenames=np.array([str(n) for n in range(len(texts))]),
        )

    cache = pickle.dumps({"train": part(posts), "test": part(posts[:4])})
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(codecs.encode(cache, "zlib_codec"))
    return tmp_path


def test_newsgroups_are_those_of_scikit_learn(cached_newsgroups: Path) -> None:
    found = newsgroups(cached_newsgroups, min_df=1)

    assert "1 posts without headers, footers, quotes are empty and left out" in found.note
    source = found.prepared(torch.arange(6))
    assert source.test is not None
    assert (len(source.train), len(source.test)) == (6, 4)
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert source.class_names == ("rec.boats", "sci.birds")
    assert source.preparation is not None
    assert "subject" not in source.preparation.features
    with_headers = newsgroups(cached_newsgroups, remove=[], min_df=1).prepared(torch.arange(6))
    assert with_headers.preparation is not None
    assert "subject" in with_headers.preparation.features


def test_parts_of_posts_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.remove=.*headers, footers, quotes"):
        newsgroups(tmp_path, remove=["jokes"])


def test_a_failed_download_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(**_: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", offline)
    with pytest.raises(DataError, match=r"no route to host.*20news-bydate_py3\.pkz.*data\.root"):
        newsgroups(tmp_path)


def test_hidden_files_are_no_texts(tmp_path: Path) -> None:
    for name in ("a/0.txt", "b/1.txt", "a/._0.txt", ".ipynb_checkpoints/0.txt", "b/.x/2.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("alpha beta")
    (tmp_path / "b" / "readme.md").write_text("no text")

    source = text(tmp_path)

    assert len(source.train) == 2
    assert source.class_names == ("a", "b")
    assert source.note == "Files of other kinds are left out: 1 .md."


class _Harmful:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("broken", [False, True])
def test_a_cache_from_anybody_runs_no_code(broken: bool, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps({"train": _Harmful(canary)})
    if broken:
        content = content[:-1]
    cache = tmp_path / "20news-bydate_py3.pkz"
    cache.write_bytes(zlib.compress(content))

    with pytest.raises(DataError, match=r"20news-bydate_py3\.pkz: is damaged, or not"):
        newsgroups(tmp_path)

    assert not canary.exists()
