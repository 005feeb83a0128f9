"""Calls about what people, judges and code say of traces."""

from typing import Any, Final

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.tracking.traces.assessments import expected_form
from trivet.tracking.traces.facts import (
    SOURCE_WORDS,
    Assessment,
    AssessmentKind,
    Failure,
    Source,
    SourceKind,
)
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.moments import moment, moment_ms
from trivet.web.mlflow.rendering import Message

_UNSPECIFIED: Final = "SOURCE_TYPE_UNSPECIFIED"
_KINDS: Final[tuple[AssessmentKind, ...]] = ("feedback", "expectation", "issue")


def _create(rooms: Rooms, fields: Fields) -> Message:
    trace = fields.demanded("trace_id")
    said = read_assessment(fields.message("assessment"))
    return _answer(trace, rooms.assessments.make(trace, said))


def _get(rooms: Rooms, fields: Fields) -> Message:
    trace = fields.demanded("trace_id")
    return _answer(trace, rooms.assessments.get(trace, fields.demanded("assessment_id")))


def _update(rooms: Rooms, fields: Fields) -> Message:
    trace, assessment = fields.demanded("trace_id"), fields.demanded("assessment_id")
    changed = _changed(fields.message("assessment"), _masked(fields))
    return _answer(trace, rooms.assessments.change(trace, assessment, changed))


def _delete(rooms: Rooms, fields: Fields) -> Message:
    rooms.assessments.withdraw(fields.demanded("trace_id"), fields.demanded("assessment_id"))
    return {}


def read_assessment(fields: Fields) -> Assessment:
    """Read an assessment; times and the identifier may be missing.

    Raises:
        Invalid: It says nothing, or several things at once.
    """
    kinds: list[AssessmentKind] = []
    kinds.extend(kind for kind in _KINDS if fields.has(kind))
    if len(kinds) != 1:
        raise Invalid(
            f"an assessment has {' and '.join(kinds) or 'no value'}; expected one of "
            f"{', '.join(_KINDS)}",
            code="bad-assessment",
        )
    source = fields.message("source") if fields.has("source") else Fields({})
    return Assessment(
        id=fields.text("assessment_id"),
        name=fields.demanded("assessment_name"),
        source=Source(kind=_source_kind(source), id=source.text("source_id")),
        span=fields.text("span_id"),
        rationale=fields.text("rationale"),
        metadata=fields.mapping("metadata"),
        overrides=fields.text("overrides"),
        is_valid=fields.flag("valid", default=True),
        made_ms=moment_ms(fields, "create_time") or 0,
        changed_ms=moment_ms(fields, "last_update_time") or 0,
        kind=kinds[0],
        **_value(fields, kinds[0]),
    )


def assessment_message(trace: str, said: Assessment) -> Message:
    """Render an assessment."""
    message: Message = {
        "assessment_id": said.id,
        "assessment_name": said.name,
        "trace_id": trace,
        "source": {
            "source_type": _word_of(said.source.kind),
            "source_id": said.source.id,
        },
        "create_time": moment(said.made_ms),
        "last_update_time": moment(said.changed_ms),
        said.kind: _rendered(said),
        "valid": said.is_valid,
    }
    texts = {"span_id": said.span, "rationale": said.rationale, "overrides": said.overrides}
    message |= {name: text for name, text in texts.items() if text}
    return message | ({"metadata": said.metadata} if said.metadata else {})


def _answer(trace: str, said: Assessment) -> Message:
    return {"assessment": assessment_message(trace, said)}


def _value(fields: Fields, kind: AssessmentKind) -> dict[str, Any]:
    """Return the fields of an assessment's value."""
    value = fields.message(kind)
    if kind == "issue":
        return {"issue": value.text("issue_name")}
    if kind == "feedback":
        failure = value.message("error") if value.has("error") else None
        return {"value": value.json("value"), "failure": _failure(failure)}
    if value.has("serialized_value"):
        inner = value.message("serialized_value")
        return {
            "value": inner.text("value"),
            "form": inner.demanded("serialization_format"),
        }
    told, form = expected_form(value.json("value"))
    return {"value": told, "form": form}


def _failure(fields: Fields | None) -> Failure | None:
    if fields is None:
        return None
    return Failure(
        code=fields.text("error_code"),
        message=fields.text("error_message"),
        stack=fields.text("stack_trace"),
    )


def _rendered(said: Assessment) -> Message:
    if said.kind == "issue":
        return {"issue_name": said.issue}
    if said.form:
        return {"serialized_value": {"serialization_format": said.form, "value": said.value}}
    message: Message = {"value": said.value}
    if said.failure is not None:
        message["error"] = {
            "error_code": said.failure.code,
            "error_message": said.failure.message,
            "stack_trace": said.failure.stack,
        }
    return message


def _source_kind(fields: Fields) -> SourceKind:
    if fields.json("source_type") in (_UNSPECIFIED, 0, "0"):
        return "unknown"
    word = fields.choice("source_type", tuple(SOURCE_WORDS), "")
    return SOURCE_WORDS[word] if word else "unknown"


def _word_of(kind: SourceKind) -> str:
    return next((word for word, ours in SOURCE_WORDS.items() if ours == kind), _UNSPECIFIED)


def _masked(fields: Fields) -> list[str]:
    """Return which fields shall change: `update_mask` in any of its forms."""
    if isinstance(fields.json("update_mask"), dict):
        return fields.message("update_mask").texts("paths")
    paths = fields.demanded("update_mask").split(",")
    return ["".join(f"_{c.lower()}" if c.isupper() else c for c in path) for path in paths]


def _changed(fields: Fields, paths: list[str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for path in paths:
        if path == "assessment_name":
            changed["name"] = fields.demanded(path)
        elif path == "feedback":
            changed |= {"kind": "feedback", **_value(fields, "feedback")}
        elif path == "expectation":
            changed |= {"kind": "expectation", **_value(fields, "expectation")}
        elif path == "rationale":
            changed["rationale"] = fields.text(path)
        elif path == "metadata":
            changed["metadata"] = fields.mapping(path)
        elif path == "valid":
            changed["is_valid"] = fields.flag(path)
        else:
            raise Invalid(
                f"Invalid value {path!r} for parameter 'update_mask' supplied: expected names of "
                "fields that can change",
                code="bad-field",
            )
    return changed


_READ, _WRITE = Permission.READ, Permission.LOG
_ALL, _ONE = "/traces/{trace_id}/assessments", "/traces/{trace_id}/assessments/{assessment_id}"

CALLS_3: Final = (
    Call("POST", _ALL, _WRITE, "Assess a trace", _create),
    Call("GET", _ONE, _READ, "Get an assessment", _get),
    Call("PATCH", _ONE, _WRITE, "Change an assessment", _update),
    Call("DELETE", _ONE, _WRITE, "Withdraw an assessment", _delete),
)
