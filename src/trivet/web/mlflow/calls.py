"""The calls of the wire: what each needs, and how its answer becomes a route of the application."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import msgspec

from trivet.access.permissions import Permission
from trivet.http.application import Handler, Reply, Request
from trivet.http.routes import Method, Route
from trivet.models.deprecations import Deprecations
from trivet.models.model_versions import ModelVersions
from trivet.models.registered_models import RegisteredModels
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.tracking.traces.assessments import Assessments
from trivet.tracking.traces.service import Traces
from trivet.tracking.webhooks.service import Webhooks
from trivet.web.mlflow.fields import Fields, fields_of_body, fields_of_query
from trivet.web.mlflow.rendering import Message

_encode = msgspec.json.Encoder().encode


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """The rooms behind the wire, in the name of whoever calls."""

    experiments: Experiments
    runs: ReportedRuns
    logged_models: LoggedModels
    registered_models: RegisteredModels
    model_versions: ModelVersions
    deprecations: Deprecations
    artifacts: Artifacts
    traces: Traces
    assessments: Assessments
    webhooks: Webhooks


RoomsOf = Callable[[str], Rooms]
"""Given who calls, the rooms in that name."""
Answer = Callable[[Rooms, Fields], Message]


class Call(msgspec.Struct, frozen=True):
    """One call: method, path behind the prefix, the permission it needs, and who answers."""

    method: Method
    path: str
    permission: Permission
    summary: str
    answer: Answer


def routes(
    calls: Sequence[Call], prefixes: Sequence[str], rooms_of: RoomsOf
) -> list[Route[Handler]]:
    """Make the routes of calls, each under every prefix."""
    return [
        Route(
            method=call.method,
            path=f"{prefix}{call.path}",
            permission=call.permission,
            handler=_handler(call, rooms_of),
            summary=call.summary,
        )
        for call in calls
        for prefix in prefixes
    ]


def _handler(call: Call, rooms_of: RoomsOf) -> Handler:
    def answer(request: Request) -> bytes:
        fields = _fields(call.method, request)
        return _encode(call.answer(rooms_of(request.principal.name), fields))

    async def handle(request: Request) -> Reply:
        return Reply(await asyncio.to_thread(answer, request))

    return handle


def _fields(method: Method, request: Request) -> Fields:
    if method == "GET":
        fields = fields_of_query(request.query_string)
    else:
        fields = fields_of_body(request.body, next(_content_types(request), b""))
    return fields.with_values(request.values) if request.values else fields


def _content_types(request: Request) -> Iterator[bytes]:
    return (value for name, value in request.headers if name == b"content-type")
