"""Files that code of the user's reads while a step or a flow runs: no key covers them by itself.

Python reports every file that it opens to an audit hook (PEP 578). The hook is installed once, with
the first step of a process, and returns at once while no step runs. It sees what is opened through
Python: `open`, `pathlib`, `csv`, `json`, `sqlite3`, NumPy, the CSV reader of pandas. It does *not*
see files that native code opens by itself (the readers of Polars, PyArrow, DuckDB and HDF5), nor
what another process reads.

A file is noted with the functions of the user's through which it was read: one that keeps what it
read, such as a function under `lru_cache`, opens nothing for the step that calls it next.

Not told of: the installation of Python and its packages, imports, the system's folders, hidden
folders (caches and settings of libraries, Trivet's own), what a library reads while it is
imported, and files that were written while the step ran.
"""

import inspect
import os
import stat
import sys
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import cast

import msgspec

from trivet.core.fingerprints.modules import label_of_module, origin_of_file
from trivet.pipelines.context import definition_of
from trivet.pipelines.failures import storable
from trivet.pipelines.inputs import InputFile

_SOURCES = (".py", ".pyc", ".pyi", ".pyd", ".so", ".dll", ".dylib")
_SYSTEM = ("/proc/", "/dev/", "/sys/", "/etc/", "/usr/", "/lib/", "/lib64/", "/run/", "/System/")
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OWN = str(Path(__file__).resolve().parent.parent) + os.sep
_MATERIALISING = _OWN + "materialising" + os.sep
_IMPORTING = "<frozen importlib"
_SETTINGS = "trivet.toml"
"""The project's settings: a step that opens the workspace, as to report a run, has Trivet read
them."""
_EVENTS = frozenset({"open", "sqlite3.connect"})
_MOST_FILES = 1000
_DEEPEST = 5
_COARSE_CLOCK = 5
"""Linux's CLOCK_REALTIME_COARSE, by which file systems stamp their files."""
_CLOCK_SLACK_NS = 20_000_000
"""How far a file system's clock may lag behind elsewhere."""


class Noticed(msgspec.Struct, frozen=True, array_like=True):
    """What one call of a step read."""

    undeclared: tuple[str, ...] = ()
    """Files that nothing its key covers names, in the order of reading; by whole paths, with
    escapes in place of what UTF-8 cannot hold."""
    through: dict[str, tuple[str, ...]] = {}
    """All files, by the function of the user's (`module.name`) through which they were read."""


NOTHING = Noticed()


class Reads:
    """The files that were opened for reading during one call of a step, or by a flow's own lines.

    Args:
        folder: The project's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._python = _places(folder)
        self._began_ns = _file_clock_ns()
        self._seen: set[tuple[str, int]] = set()
        self._paths: dict[str, None] = {}
        self._through: dict[str, dict[str, None]] = {}

    def note(self, path: str, frame: FrameType) -> None:
        """Note a file if it may be data of the user's."""
        seen = (path, id(frame.f_code))
        if seen in self._seen or len(self._seen) >= _MOST_FILES:
            return
        readers = _readers(frame) if self._may_be_data(path) else None
        if readers is None:
            return
        self._seen.add(seen)
        self._paths[path] = None
        for reader in readers:
            self._through.setdefault(reader, {})[path] = None

    def noticed(self, declared: Iterable[object]) -> Noticed:
        """Return what was read.

        Args:
            declared: The step's arguments, and what stands in its `depends=`.
        """
        if not self._paths:
            return NOTHING
        unknown = undeclared(self.paths(), declared, self._folder)
        through = {name: tuple(map(storable, paths)) for name, paths in self.through().items()}
        return Noticed(tuple(map(storable, unknown)), through)

    def paths(self) -> tuple[str, ...]:
        """Return the files that were read and were there before, in the order of reading."""
        return tuple(filter(self._was_there, list(self._paths)))

    def through(self) -> dict[str, tuple[str, ...]]:
        """Return the same by the functions of the user's through which they were read."""
        readers = list(self._through.items())
        found = {name: tuple(filter(self._was_there, list(paths))) for name, paths in readers}
        return {name: paths for name, paths in found.items() if paths}

    def _may_be_data(self, path: str) -> bool:
        if path.endswith(_SOURCES) or any(place in path for place in _PACKAGES):
            return False
        if path.startswith(self._python):
            return False
        inner = path.removeprefix(self._folder)
        if inner == _SETTINGS:
            return False
        if inner == path and (path.startswith(_SYSTEM) or origin_of_file(path) == "package"):
            return False
        return f"{os.sep}." not in f"{os.sep}{os.path.dirname(inner)}"  # noqa: PTH120  # hot

    def _was_there(self, path: str) -> bool:
        """Say whether a file exists and was not written meanwhile."""
        try:
            state = os.stat(path)  # noqa: PTH116  # hot
        except OSError:
            return False
        return stat.S_ISREG(state.st_mode) and state.st_ctime_ns < self._began_ns


_current: ContextVar[Reads | None] = ContextVar("trivet.pipelines.explaining.reads", default=None)
_of_steps: list[Reads] = []
_of_flows: list[Reads] = []
_lock = threading.Lock()
_installed = False


@contextmanager
def watch_reads(folder: Path, *, of_flow: bool = False) -> Generator[Reads]:
    """Note the files that are opened for reading within a `with` block.

    A thread without a context of its own counts for the step that runs, or else for the flow, if
    it is the only one at the time.

    Args:
        folder: The project's folder.
        of_flow: Whether a flow's own lines run in the block, and not a step.
    """
    global _installed  # noqa: PLW0603  # a hook cannot be taken away again: one per process
    reads = Reads(folder)
    active = _of_flows if of_flow else _of_steps
    with _lock:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True
        active.append(reads)
    token = _current.set(reads)
    try:
        yield reads
    finally:
        _current.reset(token)
        with _lock:
            active.remove(reads)


def undeclared(
    paths: Iterable[str], declared: Iterable[object], folder: str | Path
) -> tuple[str, ...]:
    """Return those of some files that nothing declared names, nor a folder around them.

    Args:
        paths: Absolute paths.
        declared: Whatever a key covers: arguments, and what stands in `depends=`.
        folder: The project's: relative paths of `depends=` count from there, those of arguments
            from the current one.
    """
    given = [*paths_in([*declared])]
    given += [os.path.join(folder, path) for path in given]  # noqa: PTH118  # texts
    named = {os.path.realpath(path) for path in given}
    inside = tuple(path + os.sep for path in named)
    real = ((path, os.path.realpath(path)) for path in paths)
    return tuple(p for p, whole in real if whole not in named and not whole.startswith(inside))


def shown_in(folder: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths as they are told of: those in a folder relative to it."""
    own = str(folder.resolve()) + os.sep
    return tuple(storable(path.removeprefix(own)) for path in paths)


def paths_in(value: object, depth: int = 0) -> Iterable[str]:
    """Yield the paths in an argument: files, and what stands in lists and mappings."""
    if isinstance(value, InputFile | Path):
        yield str(value)
    elif depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        for item in cast("Iterable[object]", value):
            yield from paths_in(item, depth + 1)
    elif depth < _DEEPEST and isinstance(value, dict):
        yield from paths_in(list(cast("dict[object, object]", value).values()), depth + 1)


@lru_cache(maxsize=16)
def _places(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the project's folder and those of Python, with a separator behind each."""
    own = str(folder.resolve()) + os.sep
    ours = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    python = [os.path.realpath(place) + os.sep for place in sorted(ours)]
    # A project below Python's own folder (a container's /usr/local/app) is still a project.
    return own, tuple(place for place in python if not own.startswith(place))


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _EVENTS or not (_of_steps or _of_flows):
        return
    path, mode, flags = arguments if event == "open" else (arguments[0], "r", 0)
    if not isinstance(path, str | bytes | os.PathLike) or not _is_reading(mode, flags):
        return
    reads = _current.get()
    if reads is None:
        # Lists taken at once: what is under way may end at any moment.
        active = list(_of_steps) or list(_of_flows)
        reads = active[0] if len(active) == 1 else None
    if reads is None:
        return
    try:
        absolute = os.path.abspath(os.fsdecode(cast("str | bytes", path)))  # noqa: PTH100  # hot
    except (OSError, ValueError):  # the working folder is gone, or it is no path: for `open` to say
        return
    here = inspect.currentframe()
    if here is not None and here.f_back is not None:
        reads.note(absolute, here.f_back)


def _is_reading(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return "r" in mode or "+" in mode
    return not isinstance(flags, int) or flags & (os.O_WRONLY | os.O_RDWR) != os.O_WRONLY


def _readers(frame: FrameType | None) -> tuple[str, ...] | None:
    """Return the functions of the user's that are behind an opening; None when none of his is.

    The innermost comes first. What a library does while it is imported is not the user's, nor is
    what Trivet does to keep a value.
    """
    found: dict[str, None] | None = None
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if file.startswith(_OWN):
            return None if found is None or file.startswith(_MATERIALISING) else tuple(found)
        if file.startswith(_IMPORTING) and code.co_name != "get_data":  # `pkgutil` asks for data
            break
        if origin_of_file(file) == "project":
            found = {} if found is None else found
            found.update(dict.fromkeys(_names_of(code, frame.f_globals)))
        frame = frame.f_back
    return None if found is None else tuple(found)


def _names_of(code: CodeType, names: dict[str, object]) -> Iterable[str]:
    """Yield the name of a function that may keep what it read: `module.name`, as in fingerprints.

    A step answers for its own reads. A method counts when something stands in its place that may
    remember (`cached_property`): many steps reach a class and do not call all of it.
    """
    first, *rest = code.co_qualname.split(".")
    found = names.get(first)
    for name in rest:
        found = vars(found).get(name) if isinstance(found, type) else None
    is_method = bool(rest) and getattr(_plain(found), "__code__", None) is code
    if code.co_name != "<module>" and not is_method and definition_of(found) is None:
        yield f"{label_of_module(str(names.get('__name__', '')))}.{code.co_qualname}"


def _plain(found: object) -> object:
    """Return the function of a method, whatever kind of method that is."""
    return getattr(found, "fget" if isinstance(found, property) else "__func__", found)


def _file_clock_ns() -> int:
    if sys.platform == "linux":
        return time.clock_gettime_ns(_COARSE_CLOCK)
    return time.time_ns() - _CLOCK_SLACK_NS
