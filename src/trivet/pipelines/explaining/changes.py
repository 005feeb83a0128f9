"""Arguments that a step changed in place: what it did beyond what it returned.

A run that remembers such a step would leave the change out, and what comes after would see another
value than in the run that made it. So the step is made again each time, and its user is told.
"""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PosixPath, WindowsPath
from types import FunctionType

from trivet.core.errors import TrivetError
from trivet.pipelines.context import Definition
from trivet.pipelines.inputs import DataInput, InputFile, TableInput
from trivet.pipelines.materialising.readers import reader_of
from trivet.pipelines.materialising.values import Values

_PLAIN = (bool, int, float, complex, str, bytes, type(None), datetime, date)
_PATHS = (PosixPath, WindowsPath)  # what one points to may be the step's very result
_STILL = frozenset({*_PLAIN, *_PATHS, InputFile, DataInput, TableInput, FunctionType})
"""Types of values that no step changes."""


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
