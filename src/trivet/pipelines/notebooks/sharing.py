"""Which names share an object that can be changed: seen in the values themselves.

Stored values come back apart. Where two names hold one list, or one list holds another twice, a
later change would reach one of them only.
"""

import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

_MOST = 20_000
"""So many objects are looked at below one name; a value with more is a matter of rows."""
_CLOSED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_PLAIN = (str, bytes, int, float, complex, bool, type(None), range)
Pair = tuple[str, str]


def shared_objects(values: Mapping[str, object]) -> frozenset[Pair]:
    """Return pairs of names that share an object; a name with itself when it holds one twice."""
    owners: dict[int, list[str]] = {}
    found: set[Pair] = set()
    kept: list[object] = []  # what was seen stays alive, or its id() could be reused
    for name, value in values.items():
        own: set[int] = set()
        for item in _mutable_parts(value):
            kept.append(item)
            if id(item) in own:
                found.add((name, name))
                continue
            holders = owners.setdefault(id(item), [])
            found.update((holder, name) for holder in holders)
            own.add(id(item))
            holders.append(name)
    return frozenset(found)


def _mutable_parts(value: object) -> Iterator[object]:
    """Yield each mutable object in a value, as often as it is held."""
    waiting = deque([value])
    entered: set[int] = set()
    looked = 0
    while waiting and looked < _MOST:
        item = _owner_of_memory(waiting.popleft())
        looked += 1
        if isinstance(item, (*_PLAIN, *_CLOSED)):
            continue
        if not issubclass(type(item), tuple | frozenset):
            yield item
        if id(item) not in entered:
            entered.add(id(item))
            waiting.extend(_inside(item))


def _inside(item: object) -> Iterator[object]:
    kind: type = type(item)
    if issubclass(kind, dict):
        yield from cast("dict[object, object]", item).values()
    elif issubclass(kind, list | tuple | set | frozenset | deque):
        yield from cast("Iterable[object]", item)
    elif kind.__module__.partition(".")[0] not in {"pandas", "polars", "numpy", "pyarrow"}:
        own: object = getattr(item, "__dict__", None)
        yield from cast("dict[str, object]", own).values() if isinstance(own, dict) else ()


def _owner_of_memory(item: object) -> object:
    """Return the array whose memory a view shows; anything else as it is."""
    numpy: Any = sys.modules.get("numpy")
    while numpy is not None and isinstance(item, numpy.ndarray):
        base: object = cast("Any", item).base
        if not isinstance(base, numpy.ndarray):
            break
        item = base
    return item
