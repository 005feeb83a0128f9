"""Traces as documents: what searches find them by."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from trivet.core.catalog import Document, Value
from trivet.core.errors import Invalid
from trivet.tracking.reporting.experiments import tagged
from trivet.tracking.traces.facts import STATE_WORDS, WORDS, Assessment, Trace, TraceReport

TRACES: Final = "traces"
_ASSESSMENT: Final = "assessment."
_MOST_ID: Final = 200
_MOST_KEY: Final = 250
_MOST_KEYS: Final = 1000
_MOST_TEXT: Final = 100_000
_MOST_TIME: Final = 253_402_300_799_999  # the end of the year 9999


def trace_of(document: Document) -> Trace:
    """Read a trace back."""
    found, notes = document.attributes, document.notes
    duration = found.get("execution_time")
    client = found.get("client_request_id")
    return Trace(
        id=str(found["request_id"]),
        fact=notes["fact"],
        experiment=int(document.group.rpartition("/")[2]),
        location=notes["location"],
        state=STATE_WORDS.get(str(found["status"]), "unknown"),
        began_ms=int(found["timestamp"]),
        duration_ms=None if duration is None else int(duration),
        client_id=None if client is None else str(client),
        request=notes.get("request"),
        response=notes.get("response"),
        metadata=tagged(document, "metadata."),
        tags=tagged(document, "tags."),
        assessments=assessments_of(document),
    )


def assessments_of(document: Document) -> tuple[Assessment, ...]:
    """Return what was said about a trace, in the order in which it was said."""
    notes = document.notes.items()
    found = [
        msgspec.convert(note, Assessment) for name, note in notes if name.startswith(_ASSESSMENT)
    ]
    return tuple(sorted(found, key=lambda one: (one.made_ms, one.id)))


def attributes_of(report: TraceReport, began_ms: int, duration_ms: int | None) -> dict[str, Value]:
    """Return the attributes that a report sets.

    Args:
        report: What was said.
        began_ms: When the trace began, by this or an earlier report.
        duration_ms: How long it took, by this or an earlier report; None while nobody knows.
    """
    changed: dict[str, Value] = {
        **{f"tags.{key}": value for key, value in report.tags.items()},
        **{f"metadata.{key}": value for key, value in report.metadata.items()},
    }
    texts = {
        "status": report.state and WORDS[report.state],
        "name": report.name,
        "run_id": report.run,
        "client_request_id": report.client_id,
    }
    changed |= {name: text for name, text in texts.items() if text is not None}
    if report.began_ms is not None:
        changed["timestamp"] = began_ms
    if duration_ms is not None:
        changed |= {"execution_time": duration_ms, "end_time": began_ms + duration_ms}
    return changed


def notes_of(
    report: TraceReport | None,
    assessments: Iterable[Assessment] = (),
    withdrawn: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the notes that a report and assessments set, or take away."""
    texts = {"request": report.request, "response": report.response} if report else {}
    notes: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    notes |= {_ASSESSMENT + one.id: msgspec.to_builtins(one) for one in assessments}
    return notes | dict.fromkeys((_ASSESSMENT + one for one in withdrawn), None)


def judgements(standing: Iterable[Assessment]) -> dict[str, Value]:
    """Return what filters find assessments by: of each name the newest that is valid.

    Truth values are the texts `true` and `false`, what is neither number nor text is its JSON: what
    a judge that failed could not say is `null`.
    """
    found: dict[str, Value] = {}
    for one in standing:
        if one.is_valid and one.kind != "issue":
            found[f"{one.kind}.{one.name}"] = _as_value(one.value)
    return found


def _as_value(value: object) -> Value:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    return msgspec.json.encode(value).decode()


def check_trace_id(trace: str) -> None:
    """Check the identifier of a trace, which clients choose.

    Raises:
        Invalid: It is none that can stand in an address.
    """
    fits = trace.isascii() and trace.replace("-", "").replace("_", "").isalnum()
    if not fits or not trace[0].isalnum() or len(trace) > _MOST_ID:
        raise Invalid(
            f"Invalid value {trace[:_MOST_ID]!r} for parameter 'trace_id' supplied: expected at "
            f"most {_MOST_ID} letters, digits, '-' and '_', beginning with a letter or a digit",
            code="bad-trace-id",
        )


def check_report(report: TraceReport) -> None:
    """Check what is said about a trace.

    Raises:
        Invalid: A key or text is too long, there are too many, or a time makes no sense.
    """
    for what, values in (("tag", report.tags), ("metadata", report.metadata)):
        if len(values) > _MOST_KEYS:
            raise Invalid(
                f"the trace has {len(values)} keys of {what}; expected at most {_MOST_KEYS}",
                code="too-many",
            )
        for key, value in values.items():
            _check_key(key, what)
            _check_text(value, f"the value of {what} {key!r}")
    for what in ("name", "run", "client_id", "request", "response"):
        _check_text(getattr(report, what) or "", what)
    for what in ("began_ms", "duration_ms"):
        time = getattr(report, what)
        if time is not None and not 0 <= time <= _MOST_TIME:
            raise Invalid(
                f"{what} of a trace is {time}; expected milliseconds from 0 to {_MOST_TIME}",
                code="bad-time",
            )


def check_assessment(one: Assessment) -> None:
    """Check what somebody says about a trace.

    Raises:
        Invalid: A text or key is empty or too long, or the value cannot be stored.
    """
    if len(one.id) > _MOST_KEY:
        raise Invalid(
            f"the identifier of an assessment has {len(one.id)} characters; expected at most "
            f"{_MOST_KEY}",
            code="too-long",
        )
    _check_key(one.name, "assessment")
    for what in ("rationale", "span", "issue", "form", "overrides"):
        _check_text(getattr(one, what), what)
    _check_value(one.value)
    for key, value in one.metadata.items():
        _check_key(key, "metadata")
        _check_text(value, f"the value of metadata {key!r}")


def _check_value(value: object) -> None:
    try:
        msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid(
            f"the value of an assessment cannot be stored: {error}; expected JSON whose whole "
            "numbers have at most 64 bits",
            code="bad-value",
            hint="Write such a number as a text.",
        ) from error
    _check_text(str(_as_value(value)), "value")


def _check_key(key: str, what: str) -> None:
    if not key or len(key) > _MOST_KEY:
        raise Invalid(
            f"the key of a {what} has {len(key)} characters; expected 1 to {_MOST_KEY}: it exceeds "
            f"the maximum length of {_MOST_KEY}"
            if key
            else f"the key of a {what} is empty; expected 1 to {_MOST_KEY} characters",
            code="too-long" if key else "bad-key",
        )


def _check_text(text: str, what: str) -> None:
    if len(text) > _MOST_TEXT:
        raise Invalid(
            f"{what} of a trace has {len(text)} characters and exceeds the maximum length of "
            f"{_MOST_TEXT}",
            code="too-long",
            hint="Log it as a file of the trace.",
        )
