"""From rows of any kind (texts, cells, records of a table) to numbers, learnt from training rows.

What was learnt is kept with the model as plain values, so that new rows go the same way:

    checkpoint = load_checkpoint(folder / "checkpoints/best.ckpt")
    samples = restored(checkpoint["preparation"]).transform(rows)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor

from activae.data.source import Source
from activae.errors import DataError


class Rows(Protocol):
    """Rows of one kind, of which some can be picked by their places, an int64 array [n]."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: Any) -> Any: ...


class Preparation(ABC):
    """Turns rows into samples; `fit` is called once, with the training split's rows.

    `kind` names the class in what is stored, and `features` each feature that comes out.
    """

    kind: ClassVar[str]
    _kinds: ClassVar[dict[str, type[Preparation]]] = {}

    def __init_subclass__(cls) -> None:
        Preparation._kinds[cls.kind] = cls

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """The name of each feature."""

    @abstractmethod
    def fit(self, rows: Any) -> None:
        """Learn from the training rows. Raises UserError where nothing can be learnt from them."""

    @abstractmethod
    def transform(self, rows: Any) -> Tensor:
        """Samples [N, features], float32, not yet normalised."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Settings and what was learnt: dicts and lists of text, numbers, true, false and None."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The preparation that `state` was taken from."""

    def note(self, samples: Tensor) -> str:
        """What the user should know of the training data's samples; nothing by default."""
        return ""


def stored(preparation: Preparation | None) -> dict[str, Any] | None:
    """What a checkpoint keeps of a preparation: plain values."""
    if preparation is None:
        return None
    return {"kind": preparation.kind, **preparation.state()}


def restored(kept: dict[str, Any] | None) -> Preparation | None:
    """The preparation that a checkpoint keeps; None where the samples came as numbers.

    Raises DataError where it is of no known kind.
    """
    if kept is None:
        return None
    kinds = Preparation._kinds
    if kept.get("kind") not in kinds:
        raise DataError(
            f"a preparation of kind {kept.get('kind')}: this version of activae knows only "
            f"{', '.join(sorted(kinds))}"
        )
    return kinds[kept["kind"]].from_state({k: v for k, v in kept.items() if k != "kind"})


@dataclass(frozen=True, eq=False)
class Unprepared:
    """A data set whose samples a preparation makes, once it is known which rows are trained on.

    Attributes:
        name, train_labels, test_labels, class_names, note: those of the `Source` to be.
        train, test: rows as the preparation takes them; test is None where a split makes one.
        preparation: makes a preparation that has learnt nothing yet.
    """

    name: str
    train: Rows
    preparation: Callable[[], Preparation]
    train_labels: Tensor | None = None
    test: Rows | None = None
    test_labels: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    note: str = ""

    def prepared(self, places: Tensor) -> Source:
        """All samples, by a preparation fitted on the training rows in these places [n].

        Raises UserError where nothing can be learnt from the rows.
        """
        preparation = self.preparation()
        try:
            preparation.fit(self.train[places.numpy()])
            samples = preparation.transform(self.train)
            test = None if self.test is None else preparation.transform(self.test)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        notes = [self.note, preparation.note(samples)]
        return Source(
            name=self.name,
            train=samples,
            train_labels=self.train_labels,
            test=test,
            test_labels=self.test_labels,
            class_names=self.class_names,
            note=" ".join(note for note in notes if note),
            preparation=preparation,
        )
