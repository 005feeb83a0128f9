"""Being told when a library is imported, without importing it oneself."""

import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class ImportWatch(MetaPathFinder):
    """Tells when a module has been imported; at once, when it is there already.

    Args:
        tell: Called with the module's name, in the thread that imported it. It must not raise.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._awaited: set[str] = set()
        self._finding = threading.local()

    def watch(self, modules: Sequence[str]) -> None:
        """Tell of these modules."""
        for name in modules:
            if name in sys.modules:
                self._tell(name)
            else:
                self._awaited.add(name)
        if self._awaited:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Tell of nothing more."""
        self._awaited.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the finder's protocol
        target: ModuleType | None = None,  # noqa: ARG002  # as above
        /,
    ) -> ModuleSpec | None:
        """Find what the other finders find, with a word at the end of its loading."""
        if fullname not in self._awaited or getattr(self._finding, "is_under_way", False):
            return None
        self._finding.is_under_way = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding.is_under_way = False
        if spec is not None and spec.loader is not None:
            spec.loader = _TellingLoader(spec.loader, self._loaded)
        return spec

    def _loaded(self, name: str) -> None:
        if name in self._awaited:
            self._awaited.discard(name)
            self._tell(name)


class _TellingLoader(Loader):
    """Loads as another loader does, then puts that one back and tells."""

    def __init__(self, loader: Any, tell: Callable[[str], None]) -> None:
        self._loader = loader
        self._tell = tell

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Whoever asks the module for its resources finds the loader that has them.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._tell(module.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
