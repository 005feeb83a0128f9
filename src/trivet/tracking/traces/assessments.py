"""What people, judges and code say about traces: said, changed, withdrawn."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Invalid, NotFound
from trivet.core.ids import sha256_hex
from trivet.tracking.traces.facts import Assessment
from trivet.tracking.traces.service import Traces

_A: Final = {"feedback": "a Feedback", "expectation": "an Expectation", "issue": "an Issue"}


class Assessments:
    """The assessments of one project's traces.

    Args:
        traces: The traces.
        clock: For the times at which something was said.
    """

    def __init__(self, traces: Traces, clock: Clock) -> None:
        self._traces = traces
        self._clock = clock

    def make(self, trace: str, said: Assessment) -> Assessment:
        """Record an assessment; one that it overrides is no longer valid.

        Raises:
            NotFound: There is no such trace, or nothing to override.
            Invalid: Something in it is malformed.
        """
        made = dated(trace, said, self.now_ms())
        standing = [made]
        if made.overrides:
            before = self.get(trace, made.overrides)
            standing.append(msgspec.structs.replace(before, is_valid=False))
        self._traces.assess(trace, standing)
        return self.get(trace, made.id)

    def get(self, trace: str, assessment: str) -> Assessment:
        """Return an assessment.

        Raises:
            NotFound: There is no such trace, or it has no such assessment.
        """
        found = self._find(trace, assessment)
        if found is None:
            raise NotFound(
                f"Assessment with ID '{assessment}' not found for trace '{trace}'",
                code="no-assessment",
            )
        return found

    def change(self, trace: str, assessment: str, changed: Mapping[str, Any]) -> Assessment:
        """Change fields of an assessment; metadata is added to what is there.

        Args:
            trace: The trace.
            assessment: The assessment's identifier.
            changed: New values by the names of `Assessment`'s fields.

        Raises:
            NotFound: There is no such trace or assessment.
            Invalid: It would become one of another kind, or something is malformed.
        """
        before = self.get(trace, assessment)
        kind = changed.get("kind", before.kind)
        if kind != before.kind:
            raise Invalid(
                f"Cannot update {kind} value on {_A[before.kind]} assessment: {assessment} cannot "
                "become one of another kind",
                code="other-kind",
                hint="Make a new assessment that overrides it.",
            )
        values = dict(changed)
        if "metadata" in values:
            values["metadata"] = before.metadata | values["metadata"]
        now = msgspec.structs.replace(before, **values, changed_ms=self.now_ms())
        self._traces.assess(trace, [now])
        return now

    def withdraw(self, trace: str, assessment: str) -> None:
        """Take an assessment away; what it overrode is valid again. None is fine.

        Raises:
            NotFound: There is no such trace.
        """
        gone = self._find(trace, assessment)
        if gone is None:
            return
        before = self._find(trace, gone.overrides) if gone.overrides else None
        standing = [msgspec.structs.replace(before, is_valid=True)] if before else []
        self._traces.assess(trace, standing, withdrawn=[assessment])

    def now_ms(self) -> int:
        """Return the present, in milliseconds since 1970 (UTC)."""
        return to_micros(self._clock.now()) // 1000

    def _find(self, trace: str, assessment: str) -> Assessment | None:
        standing = self._traces.get(trace).assessments
        return next((one for one in standing if one.id == assessment), None)


def dated(trace: str, said: Assessment, now_ms: int) -> Assessment:
    """Return an assessment with an identifier and times, where they are missing.

    The identifier comes from what is said, so that saying it again is no second assessment.
    """
    made_ms = said.made_ms or now_ms
    whole = msgspec.structs.replace(said, made_ms=made_ms, changed_ms=said.changed_ms or made_ms)
    if whole.id:
        return whole
    content = msgspec.json.encode(msgspec.structs.replace(whole, changed_ms=0))
    return msgspec.structs.replace(whole, id=f"a-{sha256_hex(trace.encode(), content)[:32]}")


def all_dated(trace: str, said: Sequence[Assessment], now_ms: int) -> tuple[Assessment, ...]:
    """Do the same for several."""
    return tuple(dated(trace, one, now_ms) for one in said)


def expected_form(value: object) -> tuple[Any, str]:
    """Return an expectation's value as it is kept, and its form.

    Lists and objects are texts of JSON: so MLflow answers them, whichever way they came.
    """
    if isinstance(value, dict | list):
        return json.dumps(value), "JSON_FORMAT"
    return value, ""
