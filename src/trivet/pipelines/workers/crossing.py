"""Errors that cross from a worker to its run: described there, raised again here.

The class is found again by its name among what the run has loaded; the lines of the worker are
shown as if they had been run here. What cannot be built again is a `FailedElsewhere` with the same
words. What an error was raised from, and the members of a group, cross with it in the same way.
"""

import sys
import traceback
from types import TracebackType
from typing import cast

import msgspec

from trivet.core.errors import TrivetError
from trivet.pipelines.failures import add_note, members_of, storable
from trivet.pipelines.workers.exchange import Failure, PackedValue, Packer

_FRAMES = 40
_DEEPEST = 8
_MOST_ERRORS = 100
"""So many causes and members cross with an error; a group can hold groups."""
_OWN = ("trivet.pipelines.", "trivet.adapters.")


class FailedElsewhere(Exception):
    """A step failed in a worker with an error that cannot be built again here."""


def describe(error: BaseException, packer: Packer) -> Failure:
    """Say in plain data what was raised, where, and from what."""
    return _Describer(packer).describe(error, 0)


class _Describer:
    """Describes an error and what hangs on it, each error once: causes can go in circles."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._seen: dict[int, BaseException] = {}

    def describe(self, error: BaseException, depth: int) -> Failure:
        """Describe an error that stands so deep behind the one that was raised."""
        self._seen[id(error)] = error
        told = _alone(error, self._packer)
        if error.__cause__ is not None:
            told = msgspec.structs.replace(told, cause=self._other(error.__cause__, depth))
        elif error.__context__ is not None and not error.__suppress_context__:
            told = msgspec.structs.replace(told, context=self._other(error.__context__, depth))
        inner = members_of(error)
        if not inner:
            return told
        members = [one for one in (self._other(member, depth) for member in inner) if one]
        left = len(inner) - len(members)
        notes = [*told.notes, f"{left} more errors of it are not shown"] if left else told.notes
        message = storable(str(getattr(error, "message", "")))
        return msgspec.structs.replace(told, message=message, members=members, notes=notes)

    def _other(self, error: BaseException, depth: int) -> Failure | None:
        is_enough = depth >= _DEEPEST or len(self._seen) >= _MOST_ERRORS
        return None if is_enough or id(error) in self._seen else self.describe(error, depth + 1)


def _alone(error: BaseException, packer: Packer) -> Failure:
    kind = type(error)
    is_ours = isinstance(error, TrivetError)
    return Failure(
        kind=f"{kind.__module__}:{kind.__qualname__}",
        text=_text(error),
        args=_plain(list(error.args), packer),
        state=_plain({k: v for k, v in vars(error).items() if k != "__notes__"}, packer),
        frames=[(f.filename, f.lineno or 1, f.name) for f in _frames(error)],
        notes=[storable(str(note)) for note in getattr(error, "__notes__", ())],
        code=error.code if is_ours else "",
        hint=error.hint if is_ours else "",
        detail=_detail(error) if is_ours else {},
    )


def rebuild(failure: Failure, packer: Packer) -> BaseException:
    """Return an error like the one that was described, with the worker's lines."""
    error = _instance(failure, packer)
    for note in failure.notes:
        add_note(error, note)
    # By the class of all errors: one that is a frozen dataclass lets nobody set anything.
    if failure.cause is not None:
        BaseException.__setattr__(error, "__cause__", rebuild(failure.cause, packer))
    if failure.context is not None:
        BaseException.__setattr__(error, "__context__", rebuild(failure.context, packer))
    return error.with_traceback(_traceback(failure.frames))


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the lines that are not our own bookkeeping around the step."""
    walked = list(traceback.walk_tb(error.__traceback__))
    first = next(
        (n for n, (frame, _) in enumerate(walked) if not _is_bookkeeping(frame.f_globals)), 0
    )
    summary = traceback.StackSummary.extract(iter(walked[first:]), lookup_lines=False)
    return list(summary)[-_FRAMES:]


def _is_bookkeeping(names: dict[str, object]) -> bool:
    return str(names.get("__name__", "")).startswith(_OWN)


def _text(error: BaseException) -> str:
    try:
        return storable(str(error))
    except Exception:  # noqa: BLE001  # an error of the user's whose own text fails
        return f"a {type(error).__name__} without words"


def _plain(held: object, packer: Packer) -> PackedValue | None:
    try:
        return packer.pack(held, "an error")
    except Exception:  # noqa: BLE001  # anything may be in an error; its text must do then
        return None


def _detail(error: TrivetError) -> dict[str, object]:
    try:
        msgspec.msgpack.encode(error.detail)
    except (TypeError, ValueError, OverflowError):
        return {name: repr(value) for name, value in error.detail.items()}
    return error.detail


def _instance(failure: Failure, packer: Packer) -> BaseException:
    kind = _class(failure.kind)
    if failure.members:
        return _group(kind, failure, packer)
    try:
        if kind is not None and issubclass(kind, TrivetError):
            return kind(failure.text, code=failure.code, hint=failure.hint, detail=failure.detail)
        if kind is not None and failure.args is not None:
            made = _made_again(kind, failure.args, failure.state, packer)
            if str(made) == failure.text:
                return made
    except Exception:  # noqa: BLE001, S110  # it holds what cannot be had again
        pass
    return FailedElsewhere(f"{failure.kind.partition(':')[2]}: {failure.text}")


def _group(
    kind: type[BaseException] | None, failure: Failure, packer: Packer
) -> BaseExceptionGroup[BaseException]:
    """Make a group with the members that crossed; a plain one where its class takes other words."""
    members = [rebuild(member, packer) for member in failure.members]
    try:
        if kind is not None and issubclass(kind, BaseExceptionGroup):
            made = cast("type[BaseExceptionGroup[BaseException]]", kind)(failure.message, members)
            if failure.state is not None:
                vars(made).update(cast("dict[str, object]", packer.unpack(failure.state)))
            return made
    except Exception:  # noqa: BLE001, S110  # it holds what cannot be had again
        pass
    return BaseExceptionGroup(failure.message, members)


def _made_again(
    kind: type[BaseException], args: PackedValue, state: PackedValue | None, packer: Packer
) -> BaseException:
    """Make an error with what it was made with, or else as it was: its class may take others."""
    given = cast("list[object]", packer.unpack(args))
    try:
        made = kind(*given)
    except Exception:  # the class takes other arguments than it keeps
        if state is None:
            raise
        made = kind.__new__(kind, *given)
        made.args = tuple(given)
    if state is not None:
        vars(made).update(cast("dict[str, object]", packer.unpack(state)))
    return made


def _class(name: str) -> type[BaseException] | None:
    module, _, qualname = name.partition(":")
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _traceback(frames: list[tuple[str, int, str]]) -> TracebackType | None:
    """Build a traceback that shows these lines."""
    below: TracebackType | None = None
    for file, line, name in reversed(frames):
        raised = _raised_at(file, line, name)
        if raised is not None:
            below = TracebackType(below, raised.tb_frame, raised.tb_lasti, raised.tb_lineno)
    return below


def _raised_at(file: str, line: int, name: str) -> TracebackType | None:
    """Raise something at a line of a file: a program of one statement that claims to be there."""
    program = compile("\n" * (line - 1) + "raise LookupError", file, "exec").replace(co_name=name)
    try:
        exec(program, {"__name__": "worker"})  # noqa: S102  # our own statement
    except LookupError as error:
        return error.__traceback__.tb_next if error.__traceback__ else None
    return None
