"""The user's own code inside objects of libraries: a transformer in a pipeline, a loss in a model.

Such an object is known by its content, and its content names the code that it holds without saying
what that does. Here it is looked for in attributes and containers; what an object hides in native
code is not found.
"""

import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from trivet.core.fingerprints.anatomy import (
    AMBIENT,
    EXACT,
    cells_of,
    inside,
    owner_of,
    state_of,
)

_DATA = ("PIL", "numpy", "pandas", "polars", "pyarrow")
"""Libraries whose objects hold data and no code."""
_MOST = 5000
"""So many objects are looked into at most; a forest holds many that hold nothing."""


def code_held_by(value: object, is_own: Callable[[object], bool]) -> Iterator[object]:
    """Yield the user's functions and classes that a library's object holds, the nearest first.

    Args:
        value: The object.
        is_own: Says of a function or a class whether it is the user's.
    """
    waiting = deque([value])
    seen: dict[int, object] = {}  # with the objects, or an id() could be given out again
    while waiting and len(seen) < _MOST:
        one = waiting.popleft()
        if type(one) in EXACT or id(one) in seen:
            continue
        if isinstance(one, types.FunctionType | type) and is_own(one):
            yield one
            continue
        seen[id(one)] = one
        if one is not value and not isinstance(one, type) and is_own(type(one)):
            yield type(one)
        waiting.extend(_parts_of(one))


def _parts_of(value: object) -> Iterable[object]:
    top = type(value).__module__.partition(".")[0]
    if top in _DATA or top in AMBIENT or isinstance(value, type | types.ModuleType):
        return ()
    if isinstance(value, types.FunctionType):
        return cells_of(value)
    if isinstance(value, types.BuiltinFunctionType):
        return (owner_of(value),)
    made_of = inside(value)
    if made_of is not None:
        return made_of
    items: Iterable[object] = ()
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        items = (*pairs, *pairs.values())
    elif isinstance(value, list | tuple | deque):
        items = cast("Iterable[object]", value)
    elif isinstance(value, set | frozenset):
        items = sorted(cast("Iterable[object]", value), key=_name_of)
    whole = cast("object", value)
    state = state_of(whole) if type(whole).__module__ != "builtins" else None
    return (*items, *(state or {}).values())


def _name_of(value: object) -> str:
    return f"{type(value).__qualname__} {getattr(value, '__qualname__', '')}"
