"""The evidence in words: what was shown, and numbers as people write them."""

import math
import re

from trivet.demo.evidence import Evidence, Gain, Raised

# Controls act on a terminal, bidirectional overrides reorder what is read, and a lone surrogate
# cannot be written as UTF-8.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def headline(evidence: Evidence) -> str:
    """Say in one sentence what was shown, or that nothing was."""
    gain = evidence.gain
    if gain is None:
        failed = next((stage.name for stage in evidence.stages if not stage.ok), None)
        where = f" The demonstration ended at stage “{failed}”." if failed else ""
        return f"The loop was not compared with the frozen model.{where}"
    if gain.is_shown:
        return "The loop beats the model frozen in February."
    if gain.brier_high < 0:
        return "The loop is worse than the model frozen in February."
    return "The loop is not shown to beat the model frozen in February."


def finding(gain: Gain) -> str:
    """Say the paired difference in words, with its intervals."""
    brier = _difference("lower", "higher", (gain.brier, gain.brier_low, gain.brier_high), 4)
    auc = _difference("higher", "lower", (gain.auc, gain.auc_low, gain.auc_high), 3)
    return (
        f"On the same {number(gain.flights)} flights, pair by pair, the loop’s Brier score is "
        f"{brier} and its AUC {auc}; 95 % intervals, in which a day counts once."
    )


def without_cause(alert: Raised) -> str:
    """Return an alert's summary without the first cause, where the causes are listed anyway."""
    return alert.summary.removesuffix(f"; {alert.causes[0]}") if alert.causes else alert.summary


def readable(text: str) -> str:
    """Replace each character that acts instead of being read by U+FFFD.

    Example:
        >>> readable("late" + chr(27) + "[2J") == "late" + chr(0xFFFD) + "[2J"
        True
    """
    return _UNREADABLE.sub("\ufffd", text)


def number(value: float | None, digits: int = 0) -> str:
    """Write a number for people: thousands apart, a true minus, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 0) -> str:
    """Write a number with its sign; what is rounded to 0 has none."""
    text = number(value, digits)
    if not any(digit in text for digit in "123456789"):
        return text.removeprefix("\u2212")
    return f"+{text}" if text[0].isdigit() else text


def _difference(better: str, worse: str, interval: tuple[float, float, float], digits: int) -> str:
    value, low, high = interval
    if value < 0:
        better, value, low, high = worse, -value, -high, -low
    return f"{better} by {number(value, digits)} ({number(low, digits)} to {number(high, digits)})"
