"""The inference server: a hand-written ASGI application of a few routes.

Written by hand because a framework costs ten times what the model does. Every request passes the
guards of `trivet.http`, every route declares its permission, and every error has the same shape.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Invalid, NotFound, TrivetError, Unavailable
from trivet.http.errors import error_body, status_of
from trivet.http.guards import DoorPolicy, admit, check_door, read_visitor, too_large
from trivet.http.routes import Route, RouteTable
from trivet.serving import open_inference
from trivet.serving.answering import Answered, Asked, answer, shadow
from trivet.serving.capture import Capture
from trivet.serving.endpoints import Endpoints, Live
from trivet.serving.exchange import (
    LabelsRequest,
    LabelsResponse,
    PredictRequest,
    PredictResponse,
    event_micros,
    read_labels,
    read_predict,
)
from trivet.serving.facts import Endpoint
from trivet.serving.meter import Meter

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_MOST_SHADOWS = 1000


class Request(msgspec.Struct, frozen=True):
    """What a handler gets: path values, raw headers and the body."""

    values: dict[str, str]
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes
    received_ns: int


class Reply(msgspec.Struct, frozen=True):
    """What a handler gives back. `after` runs once the answer is on its way."""

    body: bytes
    status: int = 200
    headers: Headers = []
    content_type: bytes = b"application/json"
    after: Callable[[], None] | None = None


Handler = Callable[[Request], Awaitable[Reply]]
Accept = Callable[[LabelsRequest], Awaitable[int]]


class ServingApp:
    """Answers predictions by the releases in force.

    Args:
        endpoints: What is loaded.
        capture: Where predictions are logged.
        accept_labels: Stores reported labels durably and returns how many they were.
        policy: What the guards go by.
        principal_of: Who holds a token.
        refresh_s: Seconds between two looks for new releases.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        capture: Capture,
        accept_labels: Accept,
        *,
        policy: DoorPolicy,
        principal_of: Callable[[str], Principal],
        refresh_s: float = 0.5,
    ) -> None:
        self._endpoints = endpoints
        self._capture = capture
        self._accept_labels = accept_labels
        self._policy = policy
        self._principal_of = principal_of
        self._refresh_s = refresh_s
        self._meter = Meter()
        self._ready = False
        self._shadows = 0
        self.table: RouteTable[Handler] = RouteTable(self._routes())

    def _routes(self) -> tuple[Route[Handler], ...]:
        public, predict = Permission.PUBLIC, Permission.PREDICT
        return (
            Route(
                method="POST",
                path="/predict/{endpoint}",
                permission=predict,
                handler=self._predict,
                summary="Predict rows of named values",
                hot=True,
                request=PredictRequest,
                response=PredictResponse,
            ),
            Route(
                method="POST",
                path="/labels",
                permission=Permission.LABEL,
                handler=self._labels,
                summary="Report true values of earlier predictions",
                request=LabelsRequest,
                response=LabelsResponse,
            ),
            Route(
                method="GET",
                path="/endpoints",
                permission=Permission.READ,
                handler=self._list,
                summary="List what is served",
                response=list[Endpoint],
            ),
            Route(
                method="GET",
                path="/metrics",
                permission=Permission.READ,
                handler=self._metrics,
                summary="Counters and latency in the Prometheus text format",
            ),
            Route(
                method="GET",
                path="/v2/health/live",
                permission=public,
                handler=self._live,
                summary="Whether the process answers",
            ),
            Route(
                method="GET",
                path="/v2/health/ready",
                permission=public,
                handler=self._is_ready,
                summary="Whether every release in force is loaded",
            ),
            Route(
                method="GET",
                path="/v2",
                permission=predict,
                handler=self._server,
                summary="Server metadata (Open Inference Protocol)",
            ),
            Route(
                method="GET",
                path="/v2/models/{endpoint}",
                permission=predict,
                handler=self._model,
                summary="Model metadata (Open Inference Protocol)",
            ),
            Route(
                method="GET",
                path="/v2/models/{endpoint}/ready",
                permission=predict,
                handler=self._model_ready,
                summary="Whether a model answers (Open Inference Protocol)",
            ),
            Route(
                method="POST",
                path="/v2/models/{endpoint}/infer",
                permission=predict,
                handler=self._infer,
                summary="Predict tensors (Open Inference Protocol)",
                hot=True,
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI: lifespan and http; anything else is closed."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter_ns()
        try:
            reply = await self._handle(scope, receive)
        except TrivetError as error:
            reply = _error(error)
        except Exception as error:  # noqa: BLE001  # the HTTP edge: nobody above can answer
            problem = TrivetError(
                f"the server failed: {type(error).__name__}", code="server-failed"
            )
            self._meter.fail(error)
            reply = _error(problem)
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        self._meter.count(reply.status, time.perf_counter_ns() - started)
        if reply.after is not None:
            reply.after()

    async def _handle(self, scope: Scope, receive: Receive) -> Reply:
        method: str = scope["method"]
        visitor = read_visitor(scope["headers"])
        check_door(visitor, self._policy, changes=method != "GET")
        match = self.table.match(method, scope["path"])
        admit(visitor, match.route.permission, self._principal_of)
        body = await self._body(receive) if method != "GET" else b""
        request = Request(match.parameters, scope["headers"], body, time.perf_counter_ns())
        return await match.route.handler(request)

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Invalid("the client went away before its body was whole", code="bad-body")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._policy.max_body_bytes:
                raise too_large(self._policy.max_body_bytes)
        return b"".join(parts)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.to_thread(self._endpoints.refresh)
        # What is loaded by now lives long: the collector need not walk it at every turn.
        gc.freeze()
        refresher = asyncio.create_task(self._keep_fresh())
        self._ready = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ready = False
        refresher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await refresher
        await asyncio.to_thread(self._capture.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await asyncio.to_thread(self._endpoints.refresh)
            except TrivetError as error:
                # The stores are away for a moment: what is loaded goes on answering.
                self._meter.fail(error)

    # -- handlers ------------------------------------------------------------------------------

    async def _predict(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        asked_for = read_predict(request.body)
        asked = Asked(
            asked_for.rows,
            asked_for.units,
            lambda row: event_micros(asked_for, row),
            asked_for.variant,
        )
        answered = answer(live, asked)
        await self._log(live, answered)
        response = PredictResponse(
            endpoint=live.release.plan.endpoint,
            release=live.release.id,
            predictions=answered.answers,
        )
        return Reply(_encode(response), after=self._shadow_after(live, asked, answered))

    async def _infer(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        inference = open_inference.read_request(request.headers, request.body, live)
        answered = answer(live, inference.asked)
        await self._log(live, answered)
        body, headers = open_inference.write_response(inference, live, answered)
        after = self._shadow_after(live, inference.asked, answered)
        kind = b"application/octet-stream" if len(headers) > 1 else b"application/json"
        return Reply(body, headers=headers, content_type=kind, after=after)

    async def _log(self, live: Live, answered: Answered) -> None:
        if live.release.plan.log_mode == "audit":
            await self._capture.keep_durably(answered.records)
        else:
            self._capture.keep(answered.records)

    def _shadow_after(
        self, live: Live, asked: Asked, answered: Answered
    ) -> Callable[[], None] | None:
        if live.assigner.shadow is None:
            return None
        if self._shadows >= _MOST_SHADOWS:
            self._meter.skip_shadow()
            return None
        self._shadows += 1

        def run() -> None:
            asyncio.get_running_loop().call_soon(self._run_shadow, live, asked, answered.ids)

        return run

    def _run_shadow(self, live: Live, asked: Asked, ids: list[str]) -> None:
        self._shadows -= 1
        try:
            self._capture.keep(shadow(live, asked, ids))
        except TrivetError as error:
            # A shadow never harms: its failure is counted against it and nobody waits for it.
            self._meter.fail_shadow(error)

    async def _labels(self, request: Request) -> Reply:
        accepted = await self._accept_labels(read_labels(request.body))
        return Reply(_encode(LabelsResponse(accepted=accepted)))

    async def _list(self, _: Request) -> Reply:
        return Reply(_encode([live.describe() for live in self._endpoints.all()]))

    async def _metrics(self, _: Request) -> Reply:
        text = self._meter.prometheus(self._capture.dropped(), self._endpoints.failures)
        return Reply(text.encode(), content_type=b"text/plain; version=0.0.4; charset=utf-8")

    async def _live(self, _: Request) -> Reply:
        return Reply(b'{"live":true}')

    async def _is_ready(self, _: Request) -> Reply:
        if self._ready and not self._endpoints.failures:
            return Reply(b'{"ready":true,"live":true}')
        raise Unavailable(
            "a release in force is not loaded here", code="not-ready", detail={"ready": False}
        )

    async def _server(self, _: Request) -> Reply:
        return Reply(open_inference.server_metadata())

    async def _model(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        return Reply(open_inference.model_metadata(live))

    async def _model_ready(self, request: Request) -> Reply:
        name = self._endpoints.get(request.values["endpoint"]).release.plan.endpoint
        return Reply(_encode({"name": name, "ready": True}))


def _error(error: TrivetError) -> Reply:
    status = status_of(error)
    headers: Headers = []
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"1"))
    if isinstance(error, NotFound) and error.code == "no-route":
        headers.append((b"x-content-type-options", b"nosniff"))
    return Reply(_encode(error_body(error)), status=status, headers=headers)


_encode = msgspec.json.Encoder().encode
