"""Hashes of the user's own code that a config names: an edit makes another run.

Modules are read, not run (but for packages that others lie in). Those statements count that make
the named object, and in turn what these use, in other modules of the user's own too. What a library
defines is not followed.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from activae.config.instantiating import targets
from activae.errors import ConfigError

UNKNOWN = "unknown"  # in the place of a hash, where there is no source
_HASH_LENGTH = 8
# A run's metrics.json tells the versions of some; none is edited between two runs.
_LIBRARIES = ("activae", "lightning", "pytorch_lightning", "pytorch_optimizer", "torch")
_INSTALLED = {"site-packages", "dist-packages"}


def own_code(config: Mapping[str, Any]) -> list[str]:
    """`PATH HASH` for each object that a config names outside of libraries, by its dotted path.

    `PATH unknown` where a module has no source: one typed into an interpreter.
    """
    return [f"{path} {found}" for path in _named(config) if (found := _hash(path)) is not None]


def refuse_edited(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where the code is not the one that a settled config was made with."""
    edited = edited_code(config)
    if edited:
        raise ConfigError(
            f"{', '.join(edited)}: has been edited since this run was started, and what was "
            "computed until then is of the old code. Put the old code back, or start a new run"
        )


def edited_code(config: Mapping[str, Any]) -> list[str]:
    """The dotted paths whose code is not the one that a settled config was made with.

    Of those that the config names: whether it may has been asked, whatever `own_code` lists.
    """
    noted = dict(line.partition(" ")[::2] for line in config.get("own_code") or ())
    return [path for path in _named(config) if path in noted and noted[path] != _hash(path)]


def without_source(config: Mapping[str, Any]) -> list[str]:
    """The dotted paths in a settled config whose code cannot be told from another's."""
    lines = config.get("own_code") or ()
    return [line.split(" ")[0] for line in lines if line.endswith(f" {UNKNOWN}")]


def _named(config: Mapping[str, Any]) -> list[str]:
    """The dotted paths outside of libraries, each once, sorted."""
    found = {
        node[key]
        for _, node in targets(config, "")
        for key in ("_target_", "function")
        if isinstance(node.get(key), str) and "." in node[key]
    }
    return sorted(path for path in found if not _is_library(path))


def _is_library(module: str) -> bool:
    root = module.split(".")[0]
    return root in _LIBRARIES or (root in sys.stdlib_module_names and root != "__main__")


def _hash(path: str) -> str | None:
    """Of the code behind a dotted path; None where there is no such module: a run will say so."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        if module == "__main__" or _is_module(module):
            pieces: dict[str, str] = {}
            _gather(module, parts[end], parts[0], pieces)
            if not pieces:
                return UNKNOWN
            text = "\n".join(f"{place}\n{piece}" for place, piece in sorted(pieces.items()))
            return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    return None


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except Exception:  # whatever importing the package around it raises; or it is no package
        return None


def _is_module(path: str) -> bool:
    around = path.rpartition(".")[0]
    package = _spec(around) if around and _is_module(around) else None
    if around and (package is None or package.submodule_search_locations is None):
        return False  # asking for it would run what lies around it, for nothing
    return _spec(path) is not None


def _gather(module: str, name: str | None, root: str, pieces: dict[str, str]) -> None:
    """Add the statements of a module that make a name, or all of them, and what these use.

    root: the package of the object in question, which counts where it is installed too.
    """
    place = f"{module}.{name or '*'}"
    if place in pieces or not _is_followed(module, root):
        return
    source = _source(module)
    if source is None:
        return
    lines, statements = _parsed(source)
    making = [s for s in statements if name is None or _makes(s, name)]
    if not making:  # made in some other way, or the module is no text
        making, place = list(statements), f"{module}.*"
        if place in pieces:
            return
    bodies = [s for s in making if not isinstance(s, (ast.Import, ast.ImportFrom))]
    pieces[place] = "\n".join(_text(s, lines) for s in bodies) if statements else source
    for statement in making:
        wanted = name if isinstance(statement, (ast.Import, ast.ImportFrom)) else None
        _follow_imports(statement, wanted, module, root, pieces, place)
        for used in _names_used(statement):
            if any(_makes(s, used) for s in statements):
                _gather(module, used, root, pieces)


def _is_followed(module: str, root: str) -> bool:
    package = module.split(".")[0]
    if _is_library(module) or package == root:
        return package == root
    spec = _spec(package)
    return spec is not None and not _INSTALLED & set(Path(spec.origin or "").parts)


def _source(module: str) -> str | None:
    """A module's text; of one that is compiled a hash of its file; None where it has neither."""
    spec = _spec(module)
    loader = spec.loader if spec is not None else None
    origin = spec.origin if spec is not None else getattr(sys.modules.get(module), "__file__", None)
    get_source = getattr(loader, "get_source", None)
    try:
        text = get_source(module) if get_source is not None else None
        if text is not None or origin is None or not Path(origin).is_file():
            return text
        content = Path(origin).read_bytes()
    except (ImportError, OSError):
        return None
    return content.decode() if origin.endswith(".py") else hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=256)
def _parsed(source: str) -> tuple[Sequence[str], Sequence[ast.stmt]]:
    """The lines of a module, and its statements; none where it is not Python's."""
    try:
        return source.splitlines(), ast.parse(source).body
    except (SyntaxError, ValueError):
        return source.splitlines(), ()


def _makes(statement: ast.stmt, name: str) -> bool:
    """Whether a statement of a module gives a name its value, or changes it."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name == name
    if isinstance(statement, ast.Expr):  # a call such as TABLE.update(...)
        return name in _names_used(statement)
    return any(_binds(node, name) for node in ast.walk(statement))


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name == name
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return any(_bound_by(alias) in (name, "*") for alias in node.names)
    if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
        return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node.value))
    return isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)


def _bound_by(alias: ast.alias) -> str:
    return alias.asname or alias.name.split(".")[0]


def _names_used(statement: ast.stmt) -> set[str]:
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in nodes}


def _text(statement: ast.stmt, lines: Sequence[str]) -> str:
    """A statement as it is written, without lines that are empty or hold a comment alone."""
    decorators = getattr(statement, "decorator_list", ())
    start = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    written = (line.rstrip() for line in lines[start - 1 : statement.end_lineno])
    return "\n".join(line for line in written if line and not line.lstrip().startswith("#"))


def _follow_imports(
    statement: ast.stmt,
    wanted: str | None,
    module: str,
    root: str,
    pieces: dict[str, str],
    place: str,
) -> None:
    """Gather what a statement imports, or of that one name alone; note where it comes from."""
    for node in ast.walk(statement):
        for alias, origin, name in _imported(node, module):
            if wanted is not None and _bound_by(alias) not in (wanted, "*"):
                continue
            pieces[place] += f"\nfrom {origin} import {name}"
            if not _is_followed(origin, root):
                continue
            if name is not None and _is_module(f"{origin}.{name}"):
                _gather(f"{origin}.{name}", None, root, pieces)
            elif name == "*":
                _gather(origin, wanted, root, pieces)
            else:
                _gather(origin, name, root, pieces)


def _imported(node: ast.AST, module: str) -> Iterator[tuple[ast.alias, str, str | None]]:
    """Each alias that an import binds, with the module it comes from and the name it has there."""
    if isinstance(node, ast.Import):
        yield from ((alias, alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        if node.level:
            spec = _spec(module)
            package = (spec.parent if spec is not None else "") or ""
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*above, *([node.module] if node.module else [])])
        yield from ((alias, origin, alias.name) for alias in node.names)
