"""Who stores or reads a value: what today's code allows, whatever the stored bytes ask for.

Stored bytes name classes (`module:Class`). Nothing is imported because they say so, and only two
kinds of classes are ever made from them: those that the annotations of the reading step or flow
name, and those that are loaded already *and* belong to the user's project or to Trivet. Both were
chosen by code that runs today, so whoever can write to the stores can at most swap one of the
project's own records for another.
"""

import contextlib
import sys
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any, cast

import msgspec

from trivet.core.fingerprints.modules import label_of_module, origin_of_module
from trivet.pipelines.context import Definition

_DEEPEST = 6


class Reader(msgspec.Struct, frozen=True):
    """What a step or flow consents to."""

    pickle: bool = False
    """Whether what has no materialiser may be pickled, and unpickled."""
    classes: frozenset[type] = frozenset()
    """The classes that its annotations name."""
    any_class: bool = False
    """Whether any record will do: its content is looked at, and nothing is made."""

    def may_make(self, kind: type) -> bool:
        """Say whether values of a class may be stored, for the same class will be found again."""
        return self.any_class or self.find(name_of(kind)) is kind

    def find(self, name: str) -> type | None:
        """Return the class that stored bytes call so, None when they may not have it."""
        named = next((kind for kind in self.classes if name_of(kind) == name), None)
        if named is not None:
            return named
        found = _loaded(name)
        if found is None or not _is_own(found.__module__):
            return None
        return found


STRANGER = Reader()
"""Consents to nothing."""
LOOKING = Reader(any_class=True)
"""Looks at the content of any record, and makes nothing."""


def reader_of(definition: Definition) -> Reader:
    """Return what a step, an effect or a flow consents to."""
    return Reader(definition.pickle, _classes_of(definition.function))


def name_of(kind: type) -> str:
    """Return `module:Class`, the name under which a class is found again."""
    return f"{label_of_module(kind.__module__)}:{kind.__qualname__}"


@lru_cache(maxsize=1024)
def _classes_of(function: Callable[..., object]) -> frozenset[type]:
    try:
        hints = typing.get_type_hints(function)
    except (NameError, AttributeError, TypeError):  # a name that only type checkers see
        notes = cast("dict[str, Any]", getattr(function, "__annotations__", {}))
        hints = {key: note for key, note in notes.items() if not isinstance(note, str)}
    found: set[type] = set()
    for hint in hints.values():
        found.update(_classes_in(hint, 0))
    return frozenset(found)


def _classes_in(hint: object, depth: int) -> Iterator[type]:
    """Yield the classes of a type hint, and those that their own fields name."""
    if depth > _DEEPEST:
        return
    inner: list[object] = list(typing.get_args(hint))
    origin = typing.get_origin(hint)
    if isinstance(origin, type):
        inner.append(origin)
    elif isinstance(hint, type):
        yield hint
        if hasattr(hint, "__annotations__") and hint.__module__ != "builtins":
            with contextlib.suppress(NameError, AttributeError, TypeError):
                inner += typing.get_type_hints(hint).values()
    for item in inner:
        yield from _classes_in(item, depth + 1)


def _loaded(name: str) -> type | None:
    """Return a class of a module that is loaded; no attribute is computed to find it."""
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and label_of_module("__main__") == module_name:
        module = sys.modules.get("__main__")
    place: object = module
    for part in path.split("."):
        if not isinstance(place, type | ModuleType):
            return None
        place = vars(place).get(part)
    return place if isinstance(place, type) else None


def find_own(name: str) -> object | None:
    """Return the class or function that the user's project defines, and has loaded, as `a.b.C`.

    None when there is none, or when it came into that module from another.
    """
    module, _, last = name.rpartition(".")
    place = sys.modules.get(module)
    found = vars(place).get(last) if place is not None and _is_own(module) else None
    is_named = isinstance(found, type | FunctionType) and found.__module__ == module
    return found if is_named else None


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "trivet" or origin_of_module(module) == "project"
