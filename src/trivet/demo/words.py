"""The evidence in words: what was shown."""

import shlex
from typing import NamedTuple

from trivet.demo.evidence import Evidence, Gain, Raised
from trivet.drawing.words import digits_for, number, signed


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


def _compared(found: Difference, better: str, worse: str) -> str:
    _, digits, value, low, high = found
    if value < 0:
        better, value, low, high = worse, -value, -high, -low
    return f"{better} by {number(value, digits)} ({number(low, digits)} to {number(high, digits)})"
