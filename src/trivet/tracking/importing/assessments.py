"""What was said about traces elsewhere, in the form in which it can be kept here."""

from typing import Final

import msgspec

from trivet.core.errors import Invalid
from trivet.core.facts import draft
from trivet.core.moving import HeldAssessment, HeldTrace
from trivet.tracking.importing.cleaning import Remarks, clean_labels, clean_text, clean_time
from trivet.tracking.traces.assessments import dated, expected_form
from trivet.tracking.traces.documents import check_assessment
from trivet.tracking.traces.facts import (
    SOURCE_WORDS,
    Assessment,
    Failure,
    Source,
    TraceAssessed,
)

_WHAT: Final = "of an assessment"


def clean_assessments(held: HeldTrace, remarks: Remarks) -> tuple[Assessment, ...]:
    """Return the assessments of a trace; those that cannot be kept are remarked."""
    found: list[Assessment] = []
    for each in held.assessments:
        try:
            one = dated(held.id, _assessment(each, remarks), clean_time(held.began_ms))
            check_assessment(one)
            draft(TraceAssessed(trace=held.id, assessments=(one,)))
        except Invalid as error:
            remarks.note(f"an assessment of {held.id} is left out: {error.message}")
        else:
            found.append(one)
    return tuple(found)


def _assessment(held: HeldAssessment, remarks: Remarks) -> Assessment:
    value, form = held.value, held.form
    if held.kind == "expectation" and not form:
        value, form = expected_form(value)
    said = Assessment(
        id=held.id,
        name=held.name,
        kind=held.kind,
        value=None if held.kind == "issue" else value,
        form=form,
        failure=_failure(held, remarks),
        issue=str(held.value or "") if held.kind == "issue" else "",
        source=Source(
            kind=SOURCE_WORDS.get(held.source, "unknown"),
            id=clean_text(held.source_id, f"source {_WHAT}", remarks),
        ),
        span=held.span,
        rationale=held.rationale,
        metadata=clean_labels(held.metadata, f"metadata {_WHAT}", remarks),
        overrides=held.overrides,
        is_valid=held.is_valid,
        made_ms=clean_time(held.made_ms),
        changed_ms=clean_time(held.changed_ms),
    )
    texts = {
        what: clean_text(getattr(said, what), f"{what} {_WHAT}", remarks)
        for what in ("name", "issue", "span", "rationale", "overrides")
    }
    return msgspec.structs.replace(said, **texts)


def _failure(held: HeldAssessment, remarks: Remarks) -> Failure | None:
    if held.failure is None:
        return None
    code, message, stack = (clean_text(text, f"failure {_WHAT}", remarks) for text in held.failure)
    return Failure(code=code, message=message, stack=stack)
