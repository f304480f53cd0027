"""Gives Lightning the two classes of torchmetrics that it needs without all the metrics.

Lightning imports `Metric` and `MetricCollection`. The package's `__init__` imports every metric,
and with them torchvision, scipy.signal and matplotlib, none of which a run uses. Here `__init__`
waits until somebody asks for anything else in torchmetrics.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

_NAME = "torchmetrics"
_PLOT = f"{_NAME}.utilities.plot"  # imports matplotlib
_LAYOUT = ("metric.py", "collections.py", "utilities/__init__.py", "utilities/plot.py")
_lock = RLock()


def defer() -> None:
    """Make the first import of torchmetrics a light one, unless it has been imported already."""
    if _NAME not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds torchmetrics alone, and only if its files lie where `_Deferred` expects them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None or not spec.submodule_search_locations:
            return None
        folder = Path(spec.submodule_search_locations[0])
        if all((folder / file).is_file() for file in _LAYOUT):
            spec.loader = _Deferred(spec.loader)
        return spec


class _Deferred(Loader):
    """Loads the base classes now and leaves `__init__` to the package's own loader for later."""

    def __init__(self, own: Loader) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Package(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.own
        # What its submodules and Lightning ask of the package itself.
        module.__dict__.update(
            _logger=logging.getLogger(_NAME), __version__=metadata.version(_NAME)
        )
        sys.modules[_PLOT] = _plot_later()
        try:
            import_module(f"{_NAME}.utilities")  # first: it and `metric` import each other
            module.__dict__["Metric"] = import_module(f"{_NAME}.metric").Metric
            collections = import_module(f"{_NAME}.collections")
            module.__dict__["MetricCollection"] = collections.MetricCollection
        except (ImportError, AttributeError):  # a version that is laid out otherwise
            del sys.modules[_PLOT]
            _load(module)
        else:
            del sys.modules[_PLOT]


class _Package(ModuleType):
    """torchmetrics before its `__init__` has run."""

    def __getattr__(self, name: str) -> Any:
        is_special = name.startswith("__") and name != "__all__"
        with _lock:
            if is_special or self.__dict__.get("_is_loading"):
                raise AttributeError(f"module {_NAME!r} has no attribute {name!r}")
            _load(self)
        return getattr(self, name)


def _load(package: ModuleType) -> None:
    """Run the package's `__init__`; from then on it is a module like any other."""
    with _lock:
        if type(package) is ModuleType:  # another thread was first
            return
        assert package.__spec__ is not None
        assert package.__spec__.loader is not None
        package.__dict__["_is_loading"] = True
        try:
            package.__spec__.loader.exec_module(package)
            package.__class__ = ModuleType
        finally:
            del package.__dict__["_is_loading"]


def _plot_later() -> ModuleType:
    """Stands in for the module of plots: its types are any object, its functions the real ones."""

    def attribute(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return object if name.endswith("_TYPE") else _plotting(name)

    module = ModuleType(_PLOT)
    module.__dict__["__getattr__"] = attribute
    return module


def _plotting(name: str) -> Callable[..., Any]:
    def plot(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(_PLOT), name)(*args, **kwargs)

    return plot
