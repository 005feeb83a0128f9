"""Numbers and texts as people read them."""

import math
import re
from collections.abc import Iterable
from typing import Final

# Controls act on a terminal, bidirectional overrides reorder what is read, and a lone surrogate
# cannot be written as UTF-8.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_MOST: Final = 1e307
"""The distance of two values is a number, too."""


def readable(text: str) -> str:
    """Replace each character that acts instead of being read by U+FFFD.

    Example:
        >>> readable("late" + chr(27) + "[2J") == "late" + chr(0xFFFD) + "[2J"
        True
    """
    return _UNREADABLE.sub("\ufffd", text)


def within_reach(value: float) -> float:
    """Return a finite value that can be drawn: that of a run that diverged may be too far away.

    Example:
        >>> within_reach(2.5), within_reach(-1.7e308)
        (2.5, -1e+307)
    """
    return min(max(value, -_MOST), _MOST)


def number(value: float | None, digits: int = 0) -> str:
    """Write a number for people: thousands apart, a true minus, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:z,.{digits}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 0) -> str:
    """Write a number with its sign; what is rounded to 0 has none."""
    text = number(value, digits)
    is_positive = text[0].isdigit() and text.strip("0.") != ""
    return f"+{text}" if is_positive else text


def digits_for(values: Iterable[float], digits: int) -> int:
    """Return how many decimals to show: at least `digits`, so many that no value hides in a 0.

    Example:
        >>> digits_for((0.00001, 0.0022), 4), digits_for((0.0, 0.0022), 4)
        (5, 4)
    """
    shown = [value for value in values if value and math.isfinite(value)]
    wide = (more for more in range(digits, digits + 4) if all(round(it, more) for it in shown))
    return next(wide, digits + 4)
