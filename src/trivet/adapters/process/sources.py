"""The user's own modules in a worker: read from their source, and known again after an edit.

Compiled files are told apart by whole seconds, so that an edit right after another can be missed;
a worker that did miss one would answer with old code. Here every module of the user's own is
compiled from its source, and a worker that has loaded a file which was edited since says so.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from trivet.core.fingerprints.modules import origin_of_file

_GRAIN_NS = 20_000_000
"""How far a file's time may lie behind the clock."""


class OwnSources:
    """Finds modules, and remembers how the files of the user's own were."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int] | None] = {}
        self.is_doubtful = False
        """Whether a file was written about when it was read: nobody can say which came first."""
        self.around: Callable[[], AbstractContextManager[None]] | None = None
        """What is entered while a module is loaded, with all that it loads in turn."""

    def install(self) -> None:
        """Take the place of the finder that looks into the folders of `sys.path`."""
        finders: list[object] = [*sys.meta_path]
        place = finders.index(PathFinder) if PathFinder in finders else len(finders)
        sys.meta_path.insert(place, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as Python does; one of the user's own is read from its source."""
        spec = self._found(name, path, target)
        if spec is not None and spec.loader is not None and self.around is not None:
            spec.loader = _Loading(spec.loader, self)
        return spec

    def _found(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin is None:
            return spec
        if origin_of_file(spec.origin) == "project":
            self._note(spec.origin)
            spec.loader = _FromSource(name, spec.origin)
        return spec

    def invalidate_caches(self) -> None:
        """Do nothing: nothing is cached."""

    def were_edited(self) -> bool:
        """Say whether a file that was loaded is no longer what it was."""
        return self.is_doubtful or any(_state(file) != seen for file, seen in self._seen.items())

    def _note(self, file: str) -> None:
        state = self._seen.setdefault(file, _state(file))
        if state is not None and state[0] > time.time_ns() - _GRAIN_NS:
            self.is_doubtful = True


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Loading(Loader):
    """Stands before a module's loader until the module is run."""

    def __init__(self, loader: Loader, sources: OwnSources) -> None:
        self._loader = loader
        self._sources = sources

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        around, self._sources.around = self._sources.around, None
        try:
            with around() if around is not None else nullcontext():
                self._loader.exec_module(module)
        finally:
            self._sources.around = around


def _state(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  # at every call of a worker, for every file
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
