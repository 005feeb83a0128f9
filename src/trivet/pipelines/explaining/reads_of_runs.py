"""What a run tells of files that its steps' keys do not cover: who read them, and who must know.

A step that opens a file is told of by itself. Two kinds of reading are nobody's: what the flow's
own lines read, and what a function of the user's read for one caller and kept for the next
(`lru_cache`). A step that reaches such a function may work with a file that it never opened.
"""

import inspect
import threading
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from trivet.core.fingerprints.modules import label_of_module
from trivet.pipelines.context import Definition
from trivet.pipelines.explaining.reads import (
    Noticed,
    Reads,
    paths_in,
    shown_in,
    undeclared,
    watch_reads,
)

_MOST_NAMED = 5


class RunReads:
    """The files that a run's code has read so far. Safe between threads.

    Args:
        folder: The project's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._flow: Reads | None = None
        self._through: dict[str, dict[str, None]] = {}
        self._unknown: dict[str, None] = {}
        self._declared: set[Path] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watch_flow(self) -> Generator[None]:
        """Note what the flow's own lines read in a `with` block."""
        with watch_reads(self._folder, of_flow=True) as self._flow:
            yield

    def call(self, definition: Definition, depends_on: Iterable[object]) -> None:
        """Hear of a call of a step, which may use what the flow has read before."""
        paths = self._flow.paths() if self._flow is not None else ()
        if not paths or definition.kind != "step":
            return
        with self._lock:
            self._unknown.update(dict.fromkeys(paths))
            self._declared.update(map(Path, paths_in([*depends_on])))

    def warnings(
        self,
        definition: Definition,
        parts: Collection[str],
        depends_on: Iterable[object],
        noticed: Noticed,
    ) -> tuple[str, ...]:
        """Say what a call that was made may depend on without its key's knowing.

        Args:
            definition: The step. Of an effect nothing is said: it is not remembered.
            parts: What its fingerprint is made of: the functions that it reaches.
            depends_on: The step's arguments, and what stands in its `depends=`.
            noticed: What it read.
        """
        with self._lock:
            known = self._kept_by(parts, definition, noticed)
            _add(self._through, noticed.through)
        if definition.kind == "effect" or not (noticed.undeclared or known):
            return ()
        said: list[str] = []
        if noticed.undeclared:
            said.append(_say_read(definition.name, self._short(noticed.undeclared)))
        kept = set(undeclared(known, depends_on)) - set(noticed.undeclared)
        readers = dict.fromkeys(name for path, name in known.items() if path in kept)
        if kept:
            paths = self._short(path for path in known if path in kept)
            said.append(_say_kept(definition.name, tuple(readers), paths))
        return tuple(said)

    def of_flow(self, given: Iterable[object]) -> tuple[str, ...]:
        """Say which files the flow's own lines read before a step, and no step declared.

        Args:
            given: The flow's arguments.
        """
        paths = self._short(undeclared(self._unknown, [*given, *self._declared]))
        return (_say_of_flow(paths),) if paths else ()

    def _kept_by(
        self, parts: Collection[str], definition: Definition, noticed: Noticed
    ) -> dict[str, str]:
        """Return files that a step may know of through functions it reaches, each with one.

        Of a function that has just read for the step, nothing is assumed: it does read.
        """
        if self._flow is not None:
            _add(self._through, self._flow.through())
        if not self._through:
            return {}
        its_own = _label(definition)
        return {
            path: name
            for name, paths in self._through.items()
            if name in parts and name != its_own and name not in noticed.through
            for path in paths
        }

    def _short(self, paths: Iterable[str]) -> tuple[str, ...]:
        return shown_in(self._folder, paths)


def _add(to: dict[str, dict[str, None]], found: Mapping[str, Iterable[str]]) -> None:
    for name, paths in found.items():
        to.setdefault(name, {}).update(dict.fromkeys(paths))


def _label(definition: Definition) -> str:
    function = cast("object", inspect.unwrap(definition.function))
    module, name = (str(getattr(function, what, "")) for what in ("__module__", "__qualname__"))
    return f"{label_of_module(module)}.{name}"


def _say_read(step: str, paths: tuple[str, ...]) -> str:
    return f"step {step!r} read {_listed(paths)}, which {_advice(paths)}"


def _say_kept(step: str, readers: tuple[str, ...], paths: tuple[str, ...]) -> str:
    return (
        f"step {step!r} uses {_listed(readers)}, which read {_listed(paths)} before and may still "
        f"hold {_them(paths)}; {_listed(paths)} {_advice(paths)}"
    )


def _say_of_flow(paths: tuple[str, ...]) -> str:
    return (
        f"the flow's own lines read {_listed(paths)}, which the steps do not know: they are "
        f"remembered although {'it changes' if len(paths) == 1 else 'they change'}, unless they "
        f"are given what was read; pass {_them(paths)} as File or name {_them(paths)} in depends="
    )


def _advice(paths: tuple[str, ...]) -> str:
    which = "is not one" if len(paths) == 1 else "are not"
    them = _them(paths)
    return f"{which} of its inputs; pass {them} as File or name {them} in depends="


def _them(paths: tuple[str, ...]) -> str:
    return "it" if len(paths) == 1 else "them"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{shown} and {left} more" if left > 0 else shown
