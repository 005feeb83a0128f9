"""Times and durations as protobuf's JSON writes them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from trivet.core.clock import EPOCH
from trivet.web.mlflow.fields import Fields

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)
_MS: Final = timedelta(milliseconds=1)


def moment_ms(fields: Fields, name: str) -> int | None:
    """Read a time such as `2025-01-01T00:00:00.5Z`, in milliseconds since 1970 (UTC).

    Raises:
        Invalid: It is none, or before 1970.
    """
    text = fields.text(name)
    if not text:
        return None
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise fields.invalid(name, text, "expected a time such as 2025-01-01T00:00:00.5Z")
    day, time, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise fields.invalid(name, text, "no such time") from error
    if whole < EPOCH:
        raise fields.invalid(name, text, "expected a time after 1970")
    return (whole - EPOCH) // _MS + _ms(fraction)


def duration_ms(fields: Fields, name: str) -> int | None:
    """Read a duration such as `1.5s`, in milliseconds.

    Raises:
        Invalid: It is none, or negative.
    """
    text = fields.text(name)
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise fields.invalid(name, text, "expected a duration such as 1.5s, not negative")
    return int(found[1]) * 1000 + _ms(found[2])


def moment(time_ms: int) -> str:
    """Write milliseconds since 1970 as a time."""
    instant = EPOCH + time_ms * _MS
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z"


def duration(time_ms: int) -> str:
    """Write milliseconds as a duration."""
    return f"{time_ms // 1000}.{time_ms % 1000:03}s"


def _ms(fraction: str | None) -> int:
    """Return the milliseconds in the digits behind a second's point; what is finer is cut off."""
    return int((fraction or "0").ljust(3, "0")[:3])
