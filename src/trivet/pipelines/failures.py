"""How a run's failure is written down: what happened, in which step, at which line."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import cast

from trivet.core.errors import TrivetError
from trivet.core.fingerprints.modules import origin_of_file

_FRAMES = 6
_CAUSES = 3
_CAUSE_CHARACTERS = 300


class Terminated(SystemExit):
    """Somebody told this process to end; a `SystemExit` of the user's own is a failure."""


def describe_failure(error: BaseException, step: str | None, folder: Path) -> str:
    """Say in a few lines what went wrong.

    Args:
        error: What was raised.
        step: The step it was raised in, None for the flow's own lines.
        folder: The project's folder; files below it are named relative to it.

    Returns:
        Its words, the user's own lines, what it was raised from, and a hint.
    """
    first = _first_line(error)
    place = f"step {step!r}" if step else "the flow"
    lines = [f"{place}: {first}"]
    own = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    for frame in own[-_FRAMES:]:
        name = frame.filename
        if Path(name).is_relative_to(folder):
            name = str(Path(name).relative_to(folder))
        lines.append(f"  {name}:{frame.lineno} in {frame.name}: {frame.line or ''}".rstrip())
    lines += _behind(error)
    hint = getattr(error, "hint", "")
    if isinstance(hint, str) and hint:
        lines.append(f"  {hint}")
    return storable("\n".join(lines))


def _behind(error: BaseException) -> list[str]:
    """Say what an error was raised from, and the members of a group; the first few of each.

    What Trivet raises says it all itself: what it was raised from is of Trivet's making.
    """
    lines = [f"  with {_shortly(member)}" for member in members_of(error)[:_CAUSES]]
    seen = [id(error)]
    while len(seen) <= _CAUSES and not isinstance(error, TrivetError):
        word, other = "caused by", error.__cause__
        if other is None and not error.__suppress_context__:
            word, other = "while handling", error.__context__
        if other is None or id(other) in seen:
            break
        lines.append(f"  {word} {_shortly(other)}")
        seen.append(id(other))
        error = other
    return lines


def _shortly(error: BaseException) -> str:
    return _first_line(error).partition("\n")[0][:_CAUSE_CHARACTERS]


def words_of(error: BaseException) -> str:
    """Return an error's type and message, whatever the user's class makes of it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # the user's own code; the failure is more than its words
        text = "<its message cannot be printed>"
    return storable(f"{type(error).__name__}: {text}")


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the errors of a group; none of an error that is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, unless its class takes none."""
    with suppress(Exception):  # a frozen dataclass refuses, and the error matters more
        error.add_note(note)


def storable(text: str) -> str:
    r"""Return a text with escapes in place of what UTF-8 cannot hold, such as odd file names.

    Example:
        >>> storable("\udcff.csv")
        '\\udcff.csv'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _first_line(error: BaseException) -> str:
    try:
        return traceback.format_exception_only(error)[0].strip()
    except Exception:  # noqa: BLE001  # a user's class can break even this
        return words_of(error)


def _is_users(file: str) -> bool:
    return origin_of_file(file) == "project"
