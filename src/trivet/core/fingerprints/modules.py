"""Modules: whose they are, where their source is, and which distribution brought them.

Nothing here imports a module to find out about it.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal

Origin = Literal["project", "package", "python"]
"""Whose code: the user's own, an installed distribution's, or the interpreter's."""

_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_LIBRARY = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")
)
_OWN_FOLDER = str(Path(__file__).resolve().parents[2]) + os.sep


@cache
def origin_of_file(file: str) -> Origin:
    """Say whose code a file holds. Names in angle brackets are the user's: a notebook's cell."""
    if file.startswith("<frozen"):
        return "python"
    if file.startswith("<"):
        return "project"
    path = real_path(file)
    if path.startswith(_OWN_FOLDER) or not _PACKAGE_FOLDERS.isdisjoint(Path(path).parts):
        return "package"
    if _is_installed_beside(path):
        return "package"
    return "python" if path.startswith(_LIBRARY) else "project"


def origin_of_module(name: str) -> Origin:
    """Say whose code a module is, loaded or not; one that nobody knows is the user's."""
    file = file_of(name)
    if file is not None:
        return origin_of_file(file)
    return "python" if name.partition(".")[0] in sys.stdlib_module_names else "project"


def file_of(name: str) -> str | None:
    """Return the file a module was, or would be, read from; None for those that have none."""
    module = sys.modules.get(name)
    if module is None:
        return _file_not_loaded(name)
    file: object = getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    places: Iterable[str] = getattr(module, "__path__", ())  # a folder without __init__.py
    return next(iter(places), None)


def is_module(name: str) -> bool:
    """Say whether there is a module of this name, loaded or not."""
    return name in sys.modules or _file_not_loaded(name) is not None


def meant_by_import(module: str, taken: tuple[str, ...], package: str) -> Iterator[str]:
    """Yield the modules that an import inside a function may mean.

    Args:
        module: The name behind `import` or `from`, without leading dots.
        taken: The names behind `from ... import`.
        package: The package or module in which the import stands, for relative imports.
    """
    parents = package.split(".")
    bases = [
        module,
        *(".".join(parents[:n] + [module] * bool(module)) for n in range(len(parents), 0, -1)),
    ]
    for base in dict.fromkeys(filter(None, bases)):
        if is_module(base):
            yield base
            yield from (f"{base}.{name}" for name in taken if is_module(f"{base}.{name}"))


def loaded_by(module: str, level: int, taken: tuple[str, ...], package: str) -> Iterator[str]:
    """Yield the loaded modules that an import at the top of a module may mean.

    Args:
        module: The name behind `import` or `from`, without leading dots.
        level: The number of leading dots.
        taken: The names behind `from ... import`.
        package: The package in which the import stands.
    """
    if level:
        parents = package.split(".")
        module = ".".join([*parents[: len(parents) + 1 - level], *filter(None, [module])])
    parts = module.split(".")
    above = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    for name in (*above, *(f"{module}.{one}" for one in taken)):
        if name in sys.modules:
            yield name


@cache
def distribution_of(top: str) -> tuple[str, str]:
    """Return name and version of the installed distribution that brought a top-level module.

    One that none claims keeps its own name, and the version it says it has.
    """
    try:
        return top.lower(), metadata.version(top)  # most are named like their module
    except metadata.PackageNotFoundError:
        pass
    names = _distributions().get(top)
    if names:
        return names[0].lower(), metadata.version(names[0])
    said: object = getattr(sys.modules.get(top), "__version__", "unknown")
    return top.lower(), str(said)


@cache
def real_path(file: str) -> str:
    """Return the path with all links followed."""
    return os.path.realpath(file)


def label_of_module(name: str) -> str:
    """Return a module's name; a script's is the one it would have if it were imported."""
    if name != "__main__":
        return name
    file: object = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).stem if isinstance(file, str) else name


def _is_installed_beside(path: str) -> bool:
    """Say whether a file is a distribution's in a folder of any name (`pip install --target`)."""
    for entry in sys.path:
        root = real_path(entry or os.curdir)
        if path.startswith(root + os.sep):
            top = path[len(root) + 1 :].partition(os.sep)[0]
            if top in _installed_tops(root):
                return True
    return False


@cache
def _installed_tops(root: str) -> frozenset[str]:
    """Return what stands in a folder because distributions were installed there."""
    records = (path / "RECORD" for path in Path(root).glob("*.dist-info"))
    lines = (
        line
        for record in records
        if record.is_file()
        for line in record.read_text("utf-8", errors="replace").splitlines()
    )
    return frozenset(line.partition(",")[0].partition("/")[0] for line in lines)


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: list(names) for top, names in metadata.packages_distributions().items()}


def _file_not_loaded(name: str) -> str | None:
    path: list[str] | None = None
    origin: str | None = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:count]), path)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
        origin = spec.origin or next(iter(path), None)
    return origin
