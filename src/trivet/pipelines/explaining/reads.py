"""Files that a step reads without naming them: its key does not cover them, so they are told of.

Python reports every file that it opens to an audit hook (PEP 578). The hook is installed once, with
the first step of a process, and returns at once while no step runs. It sees what is opened through
Python: `open`, `pathlib`, `csv`, `json`, `sqlite3`, NumPy, the CSV reader of pandas. It does *not*
see files that native code opens by itself (the readers of Polars, PyArrow, DuckDB and HDF5), nor
what another process reads.

Not told of: the installation of Python and its packages, imports, the system's folders, hidden
folders (caches and settings of libraries, Trivet's own), what a library reads while it is
imported, and files that were written while the step ran.
"""

import inspect
import os
import sys
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import cast

from trivet.core.fingerprints.modules import origin_of_file
from trivet.pipelines.context import Definition
from trivet.pipelines.inputs import InputFile

_SOURCES = (".py", ".pyc", ".pyi", ".pyd", ".so", ".dll", ".dylib")
_SYSTEM = ("/proc/", "/dev/", "/sys/", "/etc/", "/usr/", "/lib/", "/lib64/", "/run/", "/System/")
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OWN = str(Path(__file__).resolve().parent.parent) + os.sep
_EVENTS = frozenset({"open", "sqlite3.connect"})
_MOST_FILES = 1000
_MOST_NAMED = 5
_DEEPEST = 5
_COARSE_CLOCK = 5
"""Linux's CLOCK_REALTIME_COARSE, by which file systems stamp their files."""
_CLOCK_SLACK_NS = 20_000_000
"""How far a file system's clock may lag behind elsewhere."""


class Reads:
    """The files that were opened for reading during one call of a step.

    Args:
        folder: The project's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._python = _places(folder)
        self._began_ns = _file_clock_ns()
        self._paths: dict[str, None] = {}

    def note(self, path: str, frame: FrameType) -> None:
        """Note a file if it may be data of the user's."""
        if path in self._paths or len(self._paths) >= _MOST_FILES:
            return
        if self._may_be_data(path) and _is_read_by_user(frame):
            self._paths[path] = None

    def undeclared(self, declared: Iterable[object]) -> tuple[str, ...]:
        """Return the files that the step read although nothing that its key covers names them.

        Args:
            declared: The step's arguments, and what stands in its `depends=`.

        Returns:
            Paths, those in the project relative to its folder, in the order of reading.
        """
        paths = list(_paths_in([*declared]))
        # Those of `depends=` count from the project's folder, an argument from the current one.
        paths += [os.path.join(self._folder, path) for path in paths]  # noqa: PTH118  # texts
        named = tuple(map(os.path.realpath, paths))
        inside = tuple(path + os.sep for path in named)
        found: list[str] = []
        for path in self._paths:
            real = os.path.realpath(path)
            if real not in named and not real.startswith(inside) and self._was_there(real):
                found.append(path.removeprefix(self._folder))
        return tuple(found)

    def _may_be_data(self, path: str) -> bool:
        if path.endswith(_SOURCES) or any(place in path for place in _PACKAGES):
            return False
        if path.startswith(self._python):
            return False
        inner = path.removeprefix(self._folder)
        if inner == path and (path.startswith(_SYSTEM) or origin_of_file(path) == "package"):
            return False
        return f"{os.sep}." not in f"{os.sep}{os.path.dirname(inner)}"  # noqa: PTH120  # hot

    def _was_there(self, path: str) -> bool:
        """Say whether a file exists and was not written while the step ran."""
        try:
            state = os.stat(path)  # noqa: PTH116  # follows what `realpath` made
        except OSError:
            return False
        return os.path.isfile(path) and state.st_ctime_ns < self._began_ns  # noqa: PTH113  # as above


_current: ContextVar[Reads | None] = ContextVar("trivet.pipelines.explaining.reads", default=None)
_active: list[Reads] = []
_lock = threading.Lock()
_installed = False


@contextmanager
def watch_reads(folder: Path) -> Generator[Reads]:
    """Note the files that are opened for reading within a `with` block.

    A thread without a context of its own counts for the block if it is the only one at the time.

    Args:
        folder: The project's folder.
    """
    global _installed  # noqa: PLW0603  # a hook cannot be taken away again: one per process
    reads = Reads(folder)
    with _lock:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True
        _active.append(reads)
    token = _current.set(reads)
    try:
        yield reads
    finally:
        _current.reset(token)
        with _lock:
            _active.remove(reads)


def warnings_about(
    reads: Reads, definition: Definition, depends_on: Iterable[object]
) -> tuple[str, ...]:
    """Say what a call read that it was not given; nothing of an effect, which is not remembered."""
    undeclared = () if definition.kind == "effect" else reads.undeclared(depends_on)
    return (describe_reads(definition.name, undeclared),) if undeclared else ()


def describe_reads(step: str, paths: tuple[str, ...]) -> str:
    """Say which files a step read without naming them, and what to do about it."""
    shown = ", ".join(paths[:_MOST_NAMED])
    if len(paths) > _MOST_NAMED:
        shown += f" and {len(paths) - _MOST_NAMED} more"
    one = len(paths) == 1
    return (
        f"step {step!r} read {shown}, which {'is not one' if one else 'are not'} of its inputs; "
        f"pass {'it' if one else 'them'} as File or name {'it' if one else 'them'} in depends="
    )


@lru_cache(maxsize=16)
def _places(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the project's folder and those of Python, with a separator behind each."""
    own = str(folder.resolve()) + os.sep
    ours = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    python = [os.path.realpath(place) + os.sep for place in sorted(ours)]
    # A project below Python's own folder (a container's /usr/local/app) is still a project.
    return own, tuple(place for place in python if not own.startswith(place))


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _active or event not in _EVENTS:
        return
    path, mode, flags = arguments if event == "open" else (arguments[0], "r", 0)
    if not isinstance(path, str | bytes | os.PathLike) or not _is_reading(mode, flags):
        return
    reads = _current.get() or (_active[0] if len(_active) == 1 else None)
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


def _is_read_by_user(frame: FrameType | None) -> bool:
    """Say whether the user's own lines are behind an opening, and no import of a library."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(("<frozen importlib", _OWN)):
            return False
        if origin_of_file(file) == "project":
            return True
        frame = frame.f_back
    return False


def _paths_in(value: object, depth: int = 0) -> Iterable[str]:
    if isinstance(value, InputFile | Path):
        yield str(value)
    elif depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        for item in cast("Iterable[object]", value):
            yield from _paths_in(item, depth + 1)
    elif depth < _DEEPEST and isinstance(value, dict):
        yield from _paths_in(list(cast("dict[object, object]", value).values()), depth + 1)


def _file_clock_ns() -> int:
    if sys.platform == "linux":
        return time.clock_gettime_ns(_COARSE_CLOCK)
    return time.time_ns() - _CLOCK_SLACK_NS
