"""How a run's failure is written down: what happened, in which step, at which line."""

import traceback
from pathlib import Path

from trivet.core.modules import origin_of_file

_FRAMES = 6


def describe_failure(error: BaseException, step: str | None, folder: Path) -> str:
    """Say in a few lines what went wrong.

    Args:
        error: What was raised.
        step: The step it was raised in, None for the flow's own lines.
        folder: The project's folder; files below it are named relative to it.
    """
    first = traceback.format_exception_only(error)[0].strip()
    place = f"step {step!r}" if step else "the flow"
    lines = [f"{place}: {first}"]
    own = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    for frame in own[-_FRAMES:]:
        name = frame.filename
        if Path(name).is_relative_to(folder):
            name = str(Path(name).relative_to(folder))
        lines.append(f"  {name}:{frame.lineno} in {frame.name}: {frame.line or ''}".rstrip())
    hint = getattr(error, "hint", "")
    if hint:
        lines.append(f"  {hint}")
    return "\n".join(lines)


def _is_users(file: str) -> bool:
    return origin_of_file(file) == "project"
