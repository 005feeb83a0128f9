"""Calls about traces, as clients from 2.14 to 3.2 make them: begun first, ended later."""

from typing import Final

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.core.ids import new_id
from trivet.tracking.traces.facts import WORDS, Trace
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.experiments import experiment_number, numbered
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.rendering import Message, pairs
from trivet.web.mlflow.traces import labelled, read_state, search, tags_of

_STATUSES: Final = WORDS | {"unknown": "TRACE_STATUS_UNSPECIFIED"}


def _begin(rooms: Rooms, fields: Fields) -> Message:
    report = msgspec.structs.replace(
        labelled(fields.tags("request_metadata"), fields.tags()),
        began_ms=fields.integer("timestamp_ms"),
        state="running",
    )
    home = experiment_number(fields, default=0)
    return {"trace_info": _info(rooms.traces.put(f"tr-{new_id()}", home, report))}


def _end(rooms: Rooms, fields: Fields) -> Message:
    trace = fields.demanded("request_id")
    took_ms = fields.integer("timestamp_ms") - rooms.traces.get(trace).began_ms
    if took_ms < 0:
        raise Invalid(f"the trace {trace} ends {-took_ms} ms before it began", code="bad-time")
    report = msgspec.structs.replace(
        labelled(fields.tags("request_metadata"), fields.tags()),
        duration_ms=took_ms,
        state=read_state(fields, "status") or "unknown",
    )
    return {"trace_info": _info(rooms.traces.change(trace, report))}


def _get(rooms: Rooms, fields: Fields) -> Message:
    return {"trace_info": _info(rooms.traces.get(fields.demanded("request_id")))}


def _search(rooms: Rooms, fields: Fields) -> Message:
    homes = fields.texts("experiment_ids")
    if not homes:
        raise fields.missing("experiment_ids")
    found, message = search(rooms, fields, list(map(numbered, homes)))
    return {"traces": list(map(_info, found)), **message}


def _info(trace: Trace) -> Message:
    return {
        "request_id": trace.id,
        "experiment_id": str(trace.experiment),
        "timestamp_ms": trace.began_ms,
        "execution_time_ms": trace.duration_ms or 0,
        "status": _STATUSES[trace.state],
        "request_metadata": pairs(trace.metadata),
        "tags": pairs(tags_of(trace)),
    }


_READ, _WRITE = Permission.READ, Permission.LOG

CALLS: Final = (
    Call("POST", "/traces", _WRITE, "Begin a trace", _begin),
    Call("PATCH", "/traces/{request_id}", _WRITE, "End a trace", _end),
    Call("GET", "/traces/{request_id}/info", _READ, "Get a trace", _get),
    Call("GET", "/traces", _READ, "Search traces", _search),
)
