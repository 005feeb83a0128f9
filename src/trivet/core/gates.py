"""Judgement: a check turns evidence into a finding, a gate turns findings into a verdict.

Data quality, validation before a release, and monitoring are one idea; each room brings its own
checks and all of them meet here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import msgspec

from trivet.core.errors import Invalid, Refused, TrivetError

Severity = Literal["block", "warn"]
Evidence = Mapping[str, Any]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found.

    `ok` is None when the check could not be decided (too few rows, say): a blocking check that is
    undecided does not pass.
    """

    check: str
    ok: bool | None
    summary: str
    severity: Severity = "block"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    rows: int | None = None
    evidence: dict[str, Any] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's answer: it passed when no blocking finding is false or undecided."""

    gate: str
    passed: bool
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(f for f in self.findings if f.severity == "block" and f.ok is not True)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A named question about evidence."""

    name: str
    ask: Callable[[Evidence], Finding | bool]
    severity: Severity = "block"
    title: str = ""


_Question = Callable[[Evidence], Finding | bool]


def check(
    name: str, *, severity: Severity = "block", title: str = ""
) -> Callable[[_Question], Check]:
    """Turn a function of the evidence into a check.

    The function returns a `Finding`, or a bool when there is nothing to say beyond yes and no.

    Example:
        >>> @check("enough-rows")
        ... def enough_rows(evidence):
        ...     return evidence["rows"] >= 100
        >>> Gate(name="data", checks=(enough_rows,)).judge({"rows": 10}).passed
        False
    """

    def decorate(ask: _Question) -> Check:
        return Check(
            name=name, ask=ask, severity=severity, title=title or (ask.__doc__ or "").strip()
        )

    return decorate


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A checklist with a name.

    Raises:
        Invalid: There is no check, or two have the same name.
    """

    name: str
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        names = [item.name for item in self.checks]
        if not names or len(set(names)) != len(names):
            raise Invalid(
                f"gate {self.name!r} has {len(names)} checks under {len(set(names))} names; "
                "expected at least one check, each with a name of its own",
                code="bad-gate",
            )

    def judge(self, evidence: Evidence) -> Verdict:
        """Ask every check and gather the findings; a check that fails to answer counts against."""
        findings = tuple(_ask(item, evidence) for item in self.checks)
        passed = all(f.ok is True for f in findings if f.severity == "block")
        return Verdict(gate=self.name, passed=passed, findings=findings)

    def demand(self, evidence: Evidence) -> Verdict:
        """Judge, and raise when the verdict is no.

        Raises:
            Refused: The gate did not pass; `detail["findings"]` has the reasons.
        """
        verdict = self.judge(evidence)
        if not verdict.passed:
            reasons = verdict.reasons
            raise Refused(
                f"gate {self.name!r} refused: " + "; ".join(f.summary for f in reasons),
                hint="Mend what the findings name, or record an override with its reason.",
                detail={"findings": [msgspec.to_builtins(f) for f in reasons]},
            )
        return verdict


def _ask(item: Check, evidence: Evidence) -> Finding:
    try:
        answer = item.ask(evidence)
    except (TrivetError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        # A check that cannot read its evidence has not passed; the gate itself goes on, so that
        # one verdict names every problem at once.
        return Finding(
            check=item.name,
            ok=None,
            severity=item.severity,
            summary=f"{item.name} could not be asked: {type(error).__name__}: {error}",
        )
    said = cast("object", answer)  # of a user's function: anything
    if type(said).__name__ in {"bool", "bool_"}:  # NumPy's are none of Python's
        words = "holds" if said else "does not hold"
        return Finding(
            check=item.name,
            ok=bool(said),
            severity=item.severity,
            summary=f"{item.title or item.name} {words}",
        )
    if not isinstance(said, Finding):
        return Finding(
            check=item.name,
            ok=None,
            severity=item.severity,
            summary=f"{item.name} answered with a {type(said).__name__}; expected yes or no, or a "
            "Finding",
        )
    return msgspec.structs.replace(said, check=item.name, severity=item.severity)
