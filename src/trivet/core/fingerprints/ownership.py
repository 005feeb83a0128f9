"""Whose code something is, from where a fingerprint begins."""

import sys
import types

from trivet.core.fingerprints.modules import (
    Origin,
    file_of,
    origin_of_file,
    origin_of_module,
    real_path,
)
from trivet.core.fingerprints.syntax import Source, source_of

HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: set in the flags of every class that is written in Python."""


class Ownership:
    """Tells the user's own code from that of libraries.

    Args:
        home: A folder that counts as the user's although it was installed; may be empty.
    """

    def __init__(self, home: str) -> None:
        self._home = home

    def module(self, name: str) -> Origin:
        """Say whose a module is."""
        file = file_of(name)
        return "project" if self._is_home(file) else origin_of_module(name)

    def code(self, function: types.FunctionType) -> Origin:
        """Say whose a function is."""
        file = function.__code__.co_filename
        return "project" if self._is_home(file) else origin_of_file(file)

    def is_own(self, code: object) -> bool:
        """Say whether something is a function or a class of the user's."""
        if isinstance(code, types.FunctionType):
            return self.code(code) == "project"
        if not isinstance(code, type):
            return False
        return self.module(code.__module__) == "project" or _is_made_elsewhere(code)

    def _is_home(self, file: str | None) -> bool:
        return bool(self._home and file) and real_path(str(file)).startswith(self._home)


def source_of_module(name: str) -> Source | None:
    """Read and index a module's file; None when it has none that can be read."""
    file = file_of(name)
    return source_of(file) if file else None


def _is_made_elsewhere(kind: type) -> bool:
    """Say whether a class is not of the module that it names: `make_dataclass` says `types`."""
    if not kind.__flags__ & HEAP_TYPE or "<locals>" in kind.__qualname__:
        return False
    module = sys.modules.get(kind.__module__)
    found: object = module
    for name in kind.__qualname__.split("."):
        found = vars(found).get(name) if isinstance(found, type | types.ModuleType) else None
    if module is None or found is kind or any(item is kind for item in vars(module).values()):
        return False
    source = source_of_module(kind.__module__)
    return source is not None and source.class_(kind.__qualname__) is None
