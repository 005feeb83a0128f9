"""A candidate against the champion on the same rows: the comparison put into a finding.

The one place where a comparison becomes a yes or a no, for packages (`checks.quality.champion`)
and for plain answers (`holdout_gate.HoldoutGate`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from trivet.core.gates import Finding
from trivet.models.looks import Look
from trivet.models.rules import Champion
from trivet.statistics.paired import Comparison

_MEASURED: Final = frozenset(
    {"no-telling-input", "quality", "baseline", "champion", "slices", "calibration"}
)
"""Checks whose findings tell something about the held-out rows' answers."""


def decide_contest(
    found: Comparison, *, metric: str, champion: str, rules: Champion, look: Look
) -> Finding:
    """Say whether a candidate is shown better than its champion, or not worse by the margin.

    Args:
        found: Both on the same rows.
        metric: By what they were compared.
        champion: As people call it.
        rules: The margin that `found` was computed with.
        look: Which look at these rows this is, and the one-sided level it is worth.
    """
    claim = "better than" if rules.margin == 0 else f"at most {rules.margin:g} worse than"
    detectable = found.detectable_at(look.alpha)
    return Finding(
        check="champion",
        ok=found.passes(look.alpha),
        summary=f"{metric} gains {written(found)} over {champion}; shown {claim} it at level "
        f"{look.alpha:.2g} (look {look.number})? p = {found.p_value:.2g}; a gain of "
        f"{detectable:.2g} above the margin would be found",
        value=found.difference,
        low=found.low,
        high=found.high,
        threshold=-found.margin,
        rows=found.n,
        evidence=figures_of(found, look.alpha, look.number),
    )


def figures_of(found: Comparison, alpha: float, look: int) -> dict[str, object]:
    """Return what stands behind a comparison, for a finding's evidence.

    `detectable` is the smallest gain above the margin that this very look finds in four of five
    cases.
    """
    return {
        "p_value": found.p_value,
        "alpha": alpha,
        "detectable": found.detectable_at(alpha),
        "method": found.method,
        "groups": found.clusters,
        "look": look,
    }


def written(found: Comparison) -> str:
    """Write a gain with its interval."""
    return f"{found.difference:.3g} ({found.low:.3g} to {found.high:.3g})"


def withheld(findings: Sequence[Finding], rules: Champion) -> tuple[Finding, ...]:
    """Return a refusal's findings; where the rules hide figures, with nothing that labels decide.

    What is left of the labels is the bare no: not by how much it was missed, how fine these rows
    can tell, nor which of the checks that ask them stood in the way. Where another check refuses
    already, not even whether any of them did.
    """
    if rules.figures == "shown":
        return tuple(findings)
    elsewhere = any(
        item.severity == "block" and item.ok is not True and item.check not in _MEASURED
        for item in findings
    )
    return tuple(
        _without_figures(item, elsewhere=elsewhere) if item.check in _MEASURED else item
        for item in findings
    )


def _without_figures(finding: Finding, *, elsewhere: bool) -> Finding:
    is_told = finding.severity == "block" and not elsewhere
    words = (
        "what is asked of the held-out answers does not hold; which part of it, and its figures, "
        "are hidden"
        if is_told
        else f"{finding.check} is hidden, as its figures are"
    )
    kept = {
        key: finding.evidence[key]
        for key in ("alpha", "method", "groups", "look")
        if key in finding.evidence
    }
    return msgspec.structs.replace(
        finding,
        ok=False if is_told else None,
        summary=words,
        value=None,
        low=None,
        high=None,
        threshold=None,
        rows=None,
        evidence=kept,
    )
