"""Arguments that a step changed in place: what it did beyond what it returned.

A run that remembers such a step leaves the change out, and what comes after would see another
value than in the run that made it. So the step is made again each time, and its user is told.

A step that returns what it changed, as in `table = clean(table)`, is remembered all the same: the
flow goes on with what was returned. Should it come back to the old value, it is refused.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import PosixPath, WindowsPath
from types import FunctionType
from typing import cast

from trivet.core.errors import Invalid, TrivetError
from trivet.pipelines.context import Definition
from trivet.pipelines.inputs import DataInput, InputFile, TableInput
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.materialising.values import Values

_PLAIN = (bool, int, float, complex, str, bytes, type(None), datetime, date)
_PATHS = (PosixPath, WindowsPath)  # what one points to may be the step's very result
_STILL = frozenset({*_PLAIN, *_PATHS, InputFile, DataInput, TableInput, FunctionType})
"""Types of values that no step changes."""
_MOST = 1000
"""So many old values are looked out for: whoever changes more of them, changes them in a loop."""


def changed_arguments(
    values: Values, definition: Definition, given: Mapping[str, object], before: Mapping[str, str]
) -> tuple[str, ...]:
    """Name the arguments whose content is another after the call than before it.

    Args:
        values: Digests them.
        definition: The step.
        given: The arguments by parameter, as they are after the call.
        before: Their digests before the call.
    """
    reader = reader_of(definition)

    def digest(value: object) -> str | None:
        try:
            return values.digest(value, "argument", reader)
        except TrivetError:  # it is something now that could not have been an argument
            return None

    return tuple(
        name
        for name, value in given.items()
        if type(value) not in _STILL and digest(value) != before[name]
    )


def holds(value: object, item: object) -> bool:
    """Say whether a value is a thing, or a list, tuple or mapping with it."""
    if value is item:
        return True
    if type(value) is dict:
        value = list(cast("dict[object, object]", value).values())
    if type(value) not in {list, tuple}:
        return False
    return any(part is item for part in cast("list[object]", value))


class OldValues:
    """What the flow may still hold of values that steps have changed and returned."""

    def __init__(self) -> None:
        self._held: list[tuple[Callable[[], object], str]] = []

    def add(self, given: Mapping[str, object], changed: Iterable[str], step: str) -> None:
        """Take in the arguments that a step changed in place and returned."""
        new = [(_reference(given[name]), step) for name in changed]
        if new:
            living = [item for item in self._held if item[0]() is not None]
            self._held = [*living, *new][-_MOST:]

    def refuse(self, values: Mapping[str, object], what: str, of: Definition) -> None:
        """Refuse values of which one is an old one, or holds one.

        Args:
            values: By name.
            what: What they are, such as `argument`.
            of: Whose.

        Raises:
            Invalid: One is (code `old-value`).
        """
        for find, step in self._held:
            old = find()
            for name, value in values.items() if old is not None else ():
                if not holds(value, old):
                    continue
                raise Invalid(
                    f"{what} {name!r} of {of.kind} {of.name!r} is what step {step!r} changed in "
                    f"place; expected what {step!r} returned",
                    code="old-value",
                    hint=f"Write x = {step}(x), and go on with x: a run that remembers {step!r} "
                    "does not change the old value.",
                )


def _reference(value: object) -> Callable[[], object]:
    try:
        return weakref.ref(value)
    except TypeError:  # lists and dicts take none
        return lambda: value


def warnings_about_changes(changed: tuple[str, ...], definition: Definition) -> tuple[str, ...]:
    """Say that a call changed what it was given, what follows, and what to do about it."""
    if not changed:
        return ()
    what = f"{definition.kind} {definition.name!r} changed its argument {changed[0]!r} in place"
    if definition.kind == "effect":
        return (f"{what}; when the run is tried again, it stays as it was",)
    if definition.where == "pool":
        return (f"{what}; in the pool it has a copy, and the flow's own stays as it was",)
    return (f"{what}, so it is not remembered; let it change a copy, and return that",)
