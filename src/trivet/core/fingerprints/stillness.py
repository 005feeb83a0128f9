"""Whether what a fingerprint was computed from is still the same, told without computing it anew.

Every name that was looked up and every container, object, class and function that was looked into
is remembered with what it held; the check compares identities. Of an array, a frame, a model or
whatever else is known by its content, the content is digested again, as far as it can change.
"""

import types
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from trivet.core.ids import sha256_hex

_NOTHING = object()
_FIXED = ("pyarrow", "trivet")
"""Libraries whose objects stay as they were made."""


class Stillness:
    """What was looked at, and what it held then."""

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[str, object], str, object]] = []
        self._held: list[tuple[object, list[object]]] = []
        self._contents: dict[int, tuple[object, Callable[[Any], object], object]] = {}

    def note_name(self, names: Mapping[str, object], name: str) -> None:
        """Remember what a name stands for."""
        self._names.append((names, name, names.get(name, _NOTHING)))

    def note(self, value: object) -> None:
        """Remember what something holds."""
        if _is_buffer(value):
            self._contents[id(value)] = (value, _digest, _digest(value))
        held = list(_inside(value))
        if held or not isinstance(value, tuple | str | int | float):
            self._held.append((value, held))

    def note_content(
        self, value: object, digester: Callable[[object], str | None], digest: str
    ) -> None:
        """Remember by what digest something is known."""
        if type(value).__module__.partition(".")[0] not in _FIXED:
            self._contents[id(value)] = (value, digester, digest)

    def lasts(self) -> bool:
        """Say whether everything is as it was."""
        return (
            all(names.get(name, _NOTHING) is was for names, name, was in self._names)
            and all(_are_same(was, list(_inside(value))) for value, was in self._held)
            and all(digest(value) == was for value, digest, was in self._contents.values())
        )


def _is_buffer(value: object) -> bool:
    return isinstance(value, bytearray | array)


def _digest(value: Any) -> str:  # noqa: ANN401  # a buffer
    return sha256_hex(bytes(value))


def _are_same(before: list[object], now: list[object]) -> bool:
    return len(before) == len(now) and all(map(is_, before, now))


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, types.FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        yield from (cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell))
    elif isinstance(value, dict):
        yield from _members(cast("dict[object, object]", value))
    elif isinstance(value, WeakKeyDictionary | WeakValueDictionary):
        live = cast("Mapping[object, object]", value)
        yield from (*live.keys(), *live.values())
        return
    elif isinstance(value, list | tuple | set | frozenset | deque | WeakSet):
        yield from cast("Iterable[object]", value)
    if not isinstance(value, type):
        yield from _slots(cast("object", value))
    own: object = getattr(cast("object", value), "__dict__", None)
    if isinstance(own, dict | types.MappingProxyType):
        yield from _members(cast("Mapping[object, object]", own))


def _members(items: Mapping[object, object]) -> Iterable[object]:
    if isinstance(items, dict):  # whatever a class that derives from it says
        plain: Any = dict
        return (*plain.keys(items), *plain.values(items))
    return (*items, *items.values())


def _slots(value: object) -> Iterable[object]:
    for kind in type(value).__mro__:
        slots: str | Iterable[str] = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            member: object = kind.__dict__.get(name)
            if isinstance(member, types.MemberDescriptorType):
                yield getattr(value, member.__name__, None)


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not _NOTHING
    except ValueError:
        return False
