"""Texts to word counts or TF-IDF, by scikit-learn's vectorisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from activae.data.preparation import Preparation
from activae.errors import ConfigError, DataError

SETTINGS = ("max_features", "min_df", "stop_words", "sublinear_tf", "counts")


class WordCounts(Preparation):
    """The most frequent words of the training texts, and how much of each a text holds.

    A text becomes TF-IDF with length 1 (scikit-learn's TfidfVectorizer: tf * (ln((1 + n) / (1 +
    df)) + 1), then divided by the Euclidean norm), or with `counts` plain numbers of words.
    Rows are arrays of texts. Words are two or more letters or digits, in lower case.

    Args:
        max_features: how many words, the most frequent; None: all.
        min_df: in how many training texts a word must occur: a number, or a share as in 0.01.
        stop_words: words to leave out: "english" for scikit-learn's list, a list, or None.
        sublinear_tf: of TF-IDF: 1 + ln(count) in the place of the count.
        counts: numbers of words in the place of TF-IDF.

    Raises:
        ConfigError: a setting of no sense.
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
