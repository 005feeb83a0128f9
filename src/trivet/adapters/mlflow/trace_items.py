"""Traces as MLflow writes them, in messages and in YAML, of versions 2.14 to 3.17."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from trivet.adapters.mlflow.wire import Pair, pairs, read_as
from trivet.core.clock import EPOCH
from trivet.core.errors import Invalid
from trivet.core.moving import HeldAssessment, HeldJudgement, HeldTrace

LOCATION: Final = "mlflow.artifactLocation"
"""The tag that says where a trace's files are."""
UNSAID: Final = "SOURCE_TYPE_UNSPECIFIED"
_UNKNOWN: Final = "STATE_UNSPECIFIED"
_STATES: Final[Mapping[Any, str]] = {1: "OK", 2: "ERROR", 3: "IN_PROGRESS"}
_MILLISECOND: Final = timedelta(milliseconds=1)

Texts = dict[str, str | None] | list[Pair] | None


class SourceItem(msgspec.Struct):
    """Who says something about a trace."""

    source_type: str | int | None = UNSAID
    source_id: str | None = ""


class ErrorItem(msgspec.Struct):
    """Why a judge could not say anything."""

    error_code: str | None = ""
    error_message: str | None = ""
    stack_trace: str | None = ""


class FeedbackItem(msgspec.Struct):
    """How good something is."""

    value: Any = None
    error: ErrorItem | None = None


class SerializedItem(msgspec.Struct):
    """A text that stands for a value."""

    serialization_format: str | None = ""
    value: str | None = ""


class ExpectationItem(msgspec.Struct):
    """What would have been right."""

    value: Any = None
    serialized_value: SerializedItem | None = None


class IssueItem(msgspec.Struct):
    """What something is an example of."""

    issue_name: str | None = ""


class AssessmentItem(msgspec.Struct):
    """What somebody says about a trace."""

    assessment_id: str = ""
    assessment_name: str = ""
    name: str = ""
    create_time: str | None = None
    last_update_time: str | None = None
    source: SourceItem | None = None
    feedback: FeedbackItem | None = None
    expectation: ExpectationItem | None = None
    issue: IssueItem | None = None
    rationale: str | None = ""
    metadata: dict[str, Any] | None = None
    span_id: str | None = ""
    overrides: str | None = ""
    valid: bool | None = True


class TraceItem(msgspec.Struct):
    """A trace; before version 3 some of its fields had other names."""

    trace_id: str = ""
    request_id: str = ""
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    request_time: str | None = None
    timestamp_ms: int | None = None
    execution_duration: str | None = None
    execution_duration_ms: int | None = None
    execution_time_ms: int | None = None
    state: str | int | None = None
    status: str | int | None = None
    trace_metadata: Texts = None
    request_metadata: Texts = None
    tags: Texts = None
    assessments: list[AssessmentItem] | None = None


def held_trace(item: TraceItem, experiment: str, imprint: str = "") -> HeldTrace:
    """Return what a message says of a trace."""
    tags = texts_of(item.tags)
    began = item.timestamp_ms if item.request_time is None else _moment_ms(item.request_time)
    return HeldTrace(
        id=item.trace_id or item.request_id,
        experiment=experiment,
        began_ms=began or 0,
        duration_ms=_duration_ms(item),
        state=state_of(item.state or item.status),
        client_id=item.client_request_id,
        request=item.request_preview,
        response=item.response_preview,
        location=tags.pop(LOCATION, ""),
        metadata=texts_of(item.trace_metadata) | texts_of(item.request_metadata),
        tags=tags,
        assessments=tuple(map(held_assessment, item.assessments or ())),
        imprint=imprint,
    )


def held_assessment(item: AssessmentItem) -> HeldAssessment:
    """Return what a message says of an assessment."""
    kind, value, form, failure = _told(item)
    source = item.source or SourceItem()
    return HeldAssessment(
        id=item.assessment_id,
        name=item.assessment_name or item.name,
        kind=kind,
        value=value,
        form=form,
        failure=failure,
        source=str(source.source_type or UNSAID),
        source_id=source.source_id or "",
        span=item.span_id or "",
        rationale=item.rationale or "",
        metadata=texts_of(item.metadata),
        overrides=item.overrides or "",
        is_valid=item.valid is not False,
        made_ms=_moment_ms(item.create_time),
        changed_ms=_moment_ms(item.last_update_time),
    )


def read_trace(value: object, name: str) -> TraceItem:
    """Read the message of a trace that a store of this name gave."""
    return read_as(value, TraceItem, name)


def read_assessment(values: Mapping[str, object], name: str) -> AssessmentItem:
    """Read an assessment from YAML, which knows more than JSON does.

    Raises:
        Invalid: It is none, or has something for which JSON has no word.
    """
    try:
        ready = msgspec.to_builtins(values, str_keys=True)
        plain = json.loads(json.dumps(ready), parse_constant=str)  # numbers that are not finite
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(
            f"{name} is no assessment: {error}; expected what JSON has words for",
            code="bad-assessment",
        ) from error
    return read_as(plain, AssessmentItem, name)


def state_of(word: object) -> str:
    """Return in which state a trace is, in MLflow's words."""
    return str(_STATES.get(word, word or _UNKNOWN))


def texts_of(values: Texts | dict[str, Any]) -> dict[str, str]:
    """Return texts by keys, whatever stands there."""
    if isinstance(values, list):
        return pairs(values)
    return {key: "" if value is None else str(value) for key, value in (values or {}).items()}


def failure_of(error: ErrorItem | None) -> tuple[str, str, str] | None:
    """Return why a judge could not say anything: code, message, stack trace."""
    if error is None:
        return None
    return error.error_code or "", error.error_message or "", error.stack_trace or ""


def _told(item: AssessmentItem) -> tuple[HeldJudgement, Any, str, tuple[str, str, str] | None]:
    """Return the kind, value, form and failure of an assessment."""
    if item.feedback is not None:
        return "feedback", item.feedback.value, "", failure_of(item.feedback.error)
    if item.issue is not None:
        return "issue", item.issue.issue_name or "", "", None
    told = item.expectation or ExpectationItem()
    inner = told.serialized_value
    if inner is not None:
        return "expectation", inner.value or "", inner.serialization_format or "", None
    return "expectation", told.value, "", None


def _moment_ms(text: str | None) -> int:
    """Return a moment in milliseconds since 1970; 0 for none that can be read."""
    try:
        return (datetime.fromisoformat(text or "") - EPOCH) // _MILLISECOND
    except (ValueError, TypeError):
        return 0


def _duration_ms(item: TraceItem) -> int | None:
    for number in (item.execution_duration_ms, item.execution_time_ms):
        if number is not None:
            return number
    try:
        return int(Decimal((item.execution_duration or "").removesuffix("s")) * 1000)
    except (InvalidOperation, ValueError, OverflowError):
        return None
