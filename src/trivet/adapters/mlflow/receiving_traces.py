"""A running server of MLflow that receives traces; one before version 3 takes none."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from trivet.adapters.mlflow.calling import Caller, pages
from trivet.adapters.mlflow.trace_items import LOCATION
from trivet.adapters.mlflow.wire import read_as
from trivet.core.clock import EPOCH
from trivet.core.errors import Conflict, NotFound
from trivet.core.moving import HeldAssessment, HeldTrace

SOURCE: Final = "trivet.source"
"""The tag that names the run, model, version or trace that was sent, as it is called here."""
IMPRINT: Final = "trivet.imprint"
"""The tag of a run or trace of which everything was sent."""
_TRACES: Final = "/api/3.0/mlflow/traces"
_LINKS: Final = "/api/2.0/mlflow/traces/link-to-run"
_OF_A_STORE: Final = frozenset(
    {
        LOCATION,
        "mlflow.trace.spansLocation",
        "mlflow.trace.archiveLocation",
        "mlflow.trace.archivalFailure",
        SOURCE,
        IMPRINT,
    }
)
"""Tags that say how a store keeps a trace. Where nothing is said of its spans, MLflow's servers and
clients read them from the trace's files; where anything is said, they take no more of the trace."""
_NAME: Final = "mlflow.traceName"
_PAGE: Final = 500
_MOST_KEY: Final = 250
_MOST_VALUE: Final = 8000
_MOST_NAME: Final = 4096
_MOST_PREVIEW: Final = 1000
_MOST_CLIENT_ID: Final = 50

Message = dict[str, Any]


class AssessmentThere(msgspec.Struct):
    """An assessment that is there, without what it says."""

    assessment_id: str = ""
    last_update_time: datetime = EPOCH


class InExperiment(msgspec.Struct, frozen=True):
    """An experiment that something is in."""

    experiment_id: str = ""


class LocationItem(msgspec.Struct, frozen=True):
    """Where a trace is kept; without an experiment, outside of the server."""

    mlflow_experiment: InExperiment = InExperiment()


class TraceThere(msgspec.Struct):
    """A trace that is there, as far as an export asks for it."""

    trace_id: str
    trace_location: LocationItem = LocationItem()
    tags: dict[str, str | None] = {}
    assessments: list[AssessmentThere] = []

    @property
    def experiment(self) -> str:
        """The experiment that it belongs to; empty when it is kept elsewhere."""
        return self.trace_location.mlflow_experiment.experiment_id

    def assessed(self) -> dict[str, AssessmentThere]:
        """Return its assessments by their identifiers."""
        return {one.assessment_id: one for one in self.assessments}


class InfoItem(msgspec.Struct):
    """A trace in an answer."""

    trace_info: TraceThere


class TraceAnswer(msgspec.Struct):
    """An answer about one trace."""

    trace: InfoItem


class TraceReceiving:
    """What of a server receives traces.

    Args:
        caller: Calls it.
        wake: Makes an experiment take something although it is deleted.
        places: Filled with where the files of what is sent belong.
    """

    def __init__(self, caller: Caller, wake: Callable[[str], None], places: dict[str, str]) -> None:
        self._caller = caller
        self._wake = wake
        self._places = places

    def sent(self, experiment: str) -> dict[str, str | None] | None:
        query = {"locations": [_location(experiment)], "max_results": _PAGE}
        ask = partial(self._caller.post, f"{_TRACES}/search")
        found: dict[str, str | None] = {}
        try:
            for item in pages(ask, query, "traces"):
                trace = read_as(item, TraceThere, self._caller.name)
                is_sent = SOURCE in trace.tags
                found[trace.trace_id] = (trace.tags.get(IMPRINT) or "") if is_sent else None
        except NotFound:
            return None
        return found

    def begin(self, experiment: str, held: HeldTrace) -> str:
        self._wake(experiment)
        there = self._find(held.id)
        if there is not None:
            _demand_sent(there, experiment)
        known = there.assessed() if there else {}
        # What is known is not said again: it would become valid, although something took its place.
        new = [one for one in held.assessments if not one.overrides and one.id not in known]
        body = {"trace": {"trace_info": _message(experiment, held, new)}}
        made = self._read(self._caller.post(_TRACES, body))
        owner = f"trace:{held.id}"
        self._places[owner] = made.tags.get(LOCATION) or ""
        if held.assessments:
            self._assess(held)
        return owner

    def link(self, held: HeldTrace) -> bool:
        try:
            for run in held.runs:
                self._caller.post(_LINKS, {"trace_ids": [held.id], "run_id": run})
        except NotFound:
            return False
        return True

    def finish(self, held: HeldTrace, imprint: str) -> None:
        body = {"key": IMPRINT, "value": imprint}
        self._caller.post(f"{_TRACES}/{held.id}/tags", body, "PATCH")

    # ------------------------------------------------------------------- inside

    def _find(self, trace: str) -> TraceThere | None:
        try:
            answer = self._caller.get(f"{_TRACES}/{trace}")
        except NotFound:
            return None
        return self._read(answer)

    def _read(self, answer: Message) -> TraceThere:
        return read_as(answer, TraceAnswer, self._caller.name).trace.trace_info

    def _assess(self, held: HeldTrace) -> None:
        """Send what the trace did not bring along: what overrides another, and what changed."""
        there = self._find(held.id)
        known = there.assessed() if there else {}
        place = f"{_TRACES}/{held.id}/assessments"
        for one in sorted(held.assessments, key=lambda each: (each.made_ms, each.id)):
            message = _assessment(held.id, one)
            twin = known.get(one.id)
            if twin is None:
                if one.overrides not in known:  # withdrawn
                    message.pop("overrides", None)
                self._caller.post(place, {"assessment": message})
                known[one.id] = AssessmentThere(one.id)
            elif one.changed_ms > _ms(twin.last_update_time):
                mask = ",".join(("assessmentName", *sorted(_CHANGEABLE & message.keys())))
                changed = {"assessment": message, "update_mask": mask}
                self._caller.post(f"{place}/{one.id}", changed, "PATCH")


_CHANGEABLE: Final = frozenset({"feedback", "expectation", "rationale", "metadata"})


def _demand_sent(there: TraceThere, experiment: str) -> None:
    """Check that an export sent a trace, so that another one may change it.

    Raises:
        Conflict: Somebody else did, or it belongs to another experiment by now.
    """
    if SOURCE not in there.tags or there.experiment != experiment:
        raise Conflict(
            f"the trace {there.trace_id} is there already, in experiment {there.experiment}, and "
            "came in another way",
            code="exists",
        )


def _message(experiment: str, held: HeldTrace, said: list[HeldAssessment]) -> Message:
    tags = {key: value for key, value in held.tags.items() if key not in _OF_A_STORE}
    if _NAME in tags:
        tags[_NAME] = tags[_NAME][:_MOST_NAME]
    message: Message = {
        "trace_id": held.id,
        "trace_location": _location(experiment),
        "request_time": _moment(held.began_ms),
        "state": held.state,
        "trace_metadata": _cut(held.metadata),
        "tags": {**_cut(tags), SOURCE: held.id},
        "assessments": [_assessment(held.id, one) for one in said],
    }
    if held.duration_ms is not None:
        message["execution_duration"] = f"{held.duration_ms // 1000}.{held.duration_ms % 1000:03}s"
    for field, text, most in (
        ("client_request_id", held.client_id, _MOST_CLIENT_ID),
        ("request_preview", held.request, _MOST_PREVIEW),
        ("response_preview", held.response, _MOST_PREVIEW),
    ):
        if text is not None:
            message[field] = text[:most]
    return message


def _location(experiment: str) -> Message:
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}


def _assessment(trace: str, one: HeldAssessment) -> Message:
    message: Message = {
        "assessment_id": one.id,
        "assessment_name": one.name,
        "trace_id": trace,
        "source": {"source_type": one.source, "source_id": one.source_id},
        "create_time": _moment(one.made_ms),
        "last_update_time": _moment(one.changed_ms or one.made_ms),
        one.kind: _value(one),
        "valid": one.is_valid,
    }
    more: Message = {
        "span_id": one.span,
        "rationale": one.rationale,
        "metadata": one.metadata,
        "overrides": one.overrides,
    }
    return message | {field: value for field, value in more.items() if value}


def _value(one: HeldAssessment) -> Message:
    if one.kind == "issue":
        return {"issue_name": one.value}
    if one.form:
        return {"serialized_value": {"serialization_format": one.form, "value": one.value}}
    if one.kind == "expectation" and type(one.value) in {dict, list}:
        text = json.dumps(one.value)
        return {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": text}}
    message: Message = {"value": one.value}
    if one.failure is not None:
        code, said, stack = one.failure
        message["error"] = {"error_code": code, "error_message": said, "stack_trace": stack}
    return message


def _cut(values: Mapping[str, str]) -> dict[str, str]:
    return {key[:_MOST_KEY]: value[:_MOST_VALUE] for key, value in values.items()}


def _moment(time_ms: int) -> str:
    instant = EPOCH + timedelta(milliseconds=time_ms)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
