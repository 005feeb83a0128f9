"""The evidence in words: what was shown, and numbers as people write them."""

import math
import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

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


class Difference(NamedTuple):
    """A paired difference with its 95 % interval; above 0 the loop is better."""

    metric: str
    digits: int
    """Decimals to show, so many that no end of the interval hides in a 0."""
    value: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        """The interval with its signs."""
        return f"{signed(self.low, self.digits)} to {signed(self.high, self.digits)}"


def differences(gain: Gain) -> tuple[Difference, Difference]:
    """Return the gain in Brier score, and that in AUC."""
    brier = gain.brier, gain.brier_low, gain.brier_high
    auc = gain.auc, gain.auc_low, gain.auc_high
    return (
        Difference("Brier score", digits_for(brier, 4), *brier),
        Difference("AUC", digits_for(auc, 3), *auc),
    )


def finding(gain: Gain) -> str:
    """Say the paired difference in words, with its intervals."""
    brier, auc = differences(gain)
    return (
        f"On the same {number(gain.flights)} flights, pair by pair, the loop’s Brier score is "
        f"{_compared(brier, 'lower', 'higher')} and its AUC {_compared(auc, 'higher', 'lower')}; "
        "95 % intervals, in which a day counts once."
    )


def without_cause(alert: Raised) -> str:
    """Return an alert's summary without the first cause, where the causes are listed anyway."""
    return alert.summary.removesuffix(f"; {alert.causes[0]}") if alert.causes else alert.summary


def commands_to_try(evidence: Evidence) -> list[str]:
    """Return what to type next; without an answered prediction nothing is asked about one."""
    commands = [f"cd {shlex.quote(evidence.folder)}"]
    if evidence.why:
        example = evidence.why["prediction"][0]
        commands += [f"trivet why {example}", f"trivet replay {example}"]
    return [*commands, "trivet up"]


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


def _compared(found: Difference, better: str, worse: str) -> str:
    _, digits, value, low, high = found
    if value < 0:
        better, value, low, high = worse, -value, -high, -low
    return f"{better} by {number(value, digits)} ({number(low, digits)} to {number(high, digits)})"
