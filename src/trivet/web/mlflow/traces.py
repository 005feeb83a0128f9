"""Calls about traces, as clients from version 3 make them."""

from typing import Final

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound
from trivet.core.filtering import parse_filter, parse_order
from trivet.tracking.traces.assessments import all_dated
from trivet.tracking.traces.facts import STATE_WORDS, WORDS, Trace, TraceReport, TraceState
from trivet.tracking.traces.searching import trace_grammar
from trivet.web.mlflow.assessments import assessment_message, read_assessment
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import numbered, page_size
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.moments import duration, duration_ms, moment, moment_ms
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message
from trivet.web.mlflow.spans import span_messages

LOCATION: Final = "mlflow.artifactLocation"
_STATES: Final = tuple(word for word, state in STATE_WORDS.items() if state != "unknown")
_UNSPECIFIED: Final = ("STATE_UNSPECIFIED", "TRACE_STATUS_UNSPECIFIED", 0, "0")
_NAME: Final = "mlflow.traceName"
_RUN: Final = "mlflow.sourceRun"
_IN_EXPERIMENT: Final = "MLFLOW_EXPERIMENT"
_MOST_FOUND: Final = 500
_MOST_LINKED: Final = 100
_MOST_BATCH_BYTES: Final = 64 << 20


def _put(rooms: Rooms, fields: Fields) -> Message:
    info = fields.message("trace").message("trace_info")
    trace = info.demanded("trace_id")
    home = _experiment_of(info.message("trace_location"))
    if home is None:
        raise info.missing("trace_location.mlflow_experiment")
    said = [read_assessment(item) for item in info.messages("assessments")]
    report = msgspec.structs.replace(
        labelled(info.mapping("trace_metadata"), info.mapping("tags")),
        began_ms=moment_ms(info, "request_time"),
        duration_ms=duration_ms(info, "execution_duration"),
        state=read_state(info, "state"),
        client_id=info.optional("client_request_id"),
        request=info.optional("request_preview"),
        response=info.optional("response_preview"),
    )
    dated = all_dated(trace, said, rooms.assessments.now_ms())
    return {"trace": {"trace_info": trace_message(rooms.traces.put(trace, home, report, dated))}}


def _get_info(rooms: Rooms, fields: Fields) -> Message:
    found = rooms.traces.get(fields.demanded("trace_id"))
    return {"trace": {"trace_info": trace_message(found)}}


def _get(rooms: Rooms, fields: Fields) -> Message:
    trace = rooms.traces.get(fields.demanded("trace_id"))
    spans = rooms.traces.spans(trace)
    if spans is None and not fields.flag("allow_partial"):
        raise NotFound(
            f"The spans of the trace with ID '{trace.id}' are not here",
            code="no-spans",
            hint=f"They are at {trace.location}, or still under way.",
        )
    return {"trace": _whole(trace, span_messages(spans) if spans else [])}


def _batch(rooms: Rooms, fields: Fields) -> Message:
    found: list[Message] = []
    left_bytes = _MOST_BATCH_BYTES
    for trace in _several(rooms, fields):
        spans = rooms.traces.spans(trace) or b""
        left_bytes -= len(spans)
        if left_bytes < 0:
            raise Invalid(
                f"the spans of these traces have more than {_MOST_BATCH_BYTES} bytes together",
                code="too-many",
                hint="Ask for fewer traces at a time.",
            )
        found.append(_whole(trace, _spans_of(spans)))
    return {"traces": found}


def _batch_infos(rooms: Rooms, fields: Fields) -> Message:
    return {"trace_infos": [trace_message(trace) for trace in _several(rooms, fields)]}


def _search(rooms: Rooms, fields: Fields) -> Message:
    locations = fields.messages("locations")
    if not locations:
        raise fields.missing("locations")
    homes = [home for home in map(_experiment_of, locations) if home is not None]
    found, message = search(rooms, fields, homes)
    return {"traces": [trace_message(trace) for trace in found], **message}


def search(rooms: Rooms, fields: Fields, homes: list[int]) -> tuple[tuple[Trace, ...], Message]:
    """Find a page of traces; return them, and the token of the next page where there is one."""
    grammar = trace_grammar(rooms.traces.most_links)
    text, orders = fields.text("filter"), fields.texts("order_by")
    limit = page_size(fields, 100, _MOST_FOUND)
    asked = ["traces", homes, text, orders]
    found, after = rooms.traces.search(
        list(dict.fromkeys(homes)),
        parse_filter(text, grammar),
        order=[parse_order(order, grammar) for order in orders],
        after=read_token(fields.text("page_token"), asked),
        limit=limit,
    )
    return found, with_token({}, after, asked)


def _tag(rooms: Rooms, fields: Fields) -> Message:
    key = _free(fields.demanded("key"))
    rooms.traces.change(fields.demanded("trace_id"), labelled({}, {key: fields.text("value")}))
    return {}


def _untag(rooms: Rooms, fields: Fields) -> Message:
    key = _free(fields.demanded("key"))
    rooms.traces.untag(fields.demanded("trace_id"), key, name="" if key == _NAME else None)
    return {}


def _delete(rooms: Rooms, fields: Fields) -> Message:
    traces = fields.texts("request_ids") or None
    until_ms = (
        fields.integer("max_timestamp_millis") if fields.has("max_timestamp_millis") else None
    )
    limit = fields.integer("max_traces") if fields.has("max_traces") else None
    if (traces is None) == (until_ms is None):
        raise Invalid(
            "Either `max_timestamp_millis` or `request_ids` must be specified, but not both",
            code="bad-delete",
        )
    if limit is not None and (traces is not None or limit < 1):
        raise fields.invalid(
            "max_traces", limit, "expected a positive number, and only with `max_timestamp_millis`"
        )
    home = numbered(fields.demanded("experiment_id"))
    gone = rooms.traces.delete(home, traces=traces, until_ms=until_ms, limit=limit)
    return {"traces_deleted": gone}


def _link(rooms: Rooms, fields: Fields) -> Message:
    traces, run = fields.texts("trace_ids"), fields.demanded("run_id")
    if len(traces) > _MOST_LINKED:
        raise Invalid(
            f"Cannot link more than {_MOST_LINKED} traces to a run in a single request. Provided "
            f"{len(traces)} traces.",
            code="too-many",
        )
    rooms.traces.link(traces, run)
    return {}


def trace_message(trace: Trace) -> Message:
    """Render a trace without its spans."""
    message: Message = {
        "trace_id": trace.id,
        "trace_location": {
            "type": _IN_EXPERIMENT,
            "mlflow_experiment": {"experiment_id": str(trace.experiment)},
        },
        "request_time": moment(trace.began_ms),
        "state": WORDS[trace.state],
        "trace_metadata": trace.metadata,
        "tags": tags_of(trace),
        "assessments": [assessment_message(trace.id, said) for said in trace.assessments],
    }
    if trace.duration_ms is not None:
        message["execution_duration"] = duration(trace.duration_ms)
    texts = {
        "client_request_id": trace.client_id,
        "request_preview": trace.request,
        "response_preview": trace.response,
    }
    return message | {name: text for name, text in texts.items() if text is not None}


def tags_of(trace: Trace) -> dict[str, str]:
    """Return a trace's tags, with the one that says where its spans are to be put."""
    return {**trace.tags, LOCATION: trace.location}


def read_state(fields: Fields, name: str) -> TraceState | None:
    """Read a state; None when nothing is said.

    Raises:
        Invalid: It is none.
    """
    if fields.json(name) in _UNSPECIFIED:
        return None
    word = fields.choice(name, _STATES, "")
    return STATE_WORDS[word] if word else None


def labelled(metadata: dict[str, str], tags: dict[str, str]) -> TraceReport:
    """Return the report that sets metadata and tags; some of them mean something here, too."""
    return TraceReport(
        metadata=metadata,
        tags={key: value for key, value in tags.items() if key != LOCATION},
        name=tags.get(_NAME),
        run=metadata.get(_RUN) or None,
    )


def _whole(trace: Trace, spans: list[Message]) -> Message:
    return {"trace_info": trace_message(trace), "spans": spans}


def _spans_of(content: bytes) -> list[Message]:
    """Return the spans of a file; none when it cannot be read, which is no fault of the others."""
    try:
        return span_messages(content) if content else []
    except Invalid:
        return []


def _several(rooms: Rooms, fields: Fields) -> list[Trace]:
    traces = fields.texts("trace_ids")
    if not traces:
        raise fields.missing("trace_ids")
    if len(traces) > _MOST_FOUND:
        raise fields.invalid("trace_ids", len(traces), f"expected at most {_MOST_FOUND}")
    homes = set(map(numbered, fields.texts("experiment_ids")))
    found = rooms.traces.several(traces)
    return [trace for trace in found if not homes or trace.experiment in homes]


def _experiment_of(location: Fields) -> int | None:
    """Return the number of the experiment that a location names; None for other places."""
    if not location.has("mlflow_experiment"):
        return None
    return numbered(location.message("mlflow_experiment").demanded("experiment_id"))


def _free(key: str) -> str:
    if key == LOCATION:
        raise Invalid(
            f"Tag '{LOCATION}' is immutable: it says where a trace's files are", code="fixed-tag"
        )
    return key


_READ, _WRITE = Permission.READ, Permission.LOG

CALLS_3: Final = (
    Call("POST", "/traces", _WRITE, "Record a trace", _put),
    Call("POST", "/traces/search", _READ, "Search traces", _search),
    Call("GET", "/traces/get", _READ, "Get a trace with its spans", _get),
    Call("GET", "/traces/batchGet", _READ, "Get traces with their spans", _batch),
    Call("POST", "/traces/batchGetInfos", _READ, "Get traces without their spans", _batch_infos),
    Call("GET", "/traces/{trace_id}", _READ, "Get a trace without its spans", _get_info),
)
CALLS_BOTH: Final = (
    Call("PATCH", "/traces/{trace_id}/tags", _WRITE, "Tag a trace", _tag),
    Call("DELETE", "/traces/{trace_id}/tags", _WRITE, "Untag a trace", _untag),
    Call("POST", "/traces/delete-traces", _WRITE, "Delete traces", _delete),
    Call("POST", "/traces/link-to-run", _WRITE, "Link traces to a run", _link),
)
"""Those that are the same in the second and the third version."""
