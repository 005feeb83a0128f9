"""The inference server: the routes of predictions and labels on the guarded application.

An answer is computed inline on the event loop: a small model takes less time than the way to a
thread and back.
"""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable

from trivet.access.permissions import Permission
from trivet.core.errors import TrivetError, Unavailable
from trivet.http.application import Application, Handler, Reply, Request, json_reply
from trivet.http.guards import DoorPolicy, PrincipalOf
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

_MOST_SHADOWS = 1000

Accept = Callable[[LabelsRequest], Awaitable[LabelsResponse]]


class ServingApp:
    """Answers predictions by the releases in force.

    Args:
        endpoints: What is loaded.
        capture: Where predictions are logged.
        accept_labels: Stores reported labels durably.
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
        principal_of: PrincipalOf,
        refresh_s: float = 0.5,
    ) -> None:
        self._endpoints = endpoints
        self._capture = capture
        self._accept_labels = accept_labels
        self._refresh_s = refresh_s
        self._meter = Meter()
        self._refresher: asyncio.Task[None] | None = None
        self._shadows = 0
        self.application = Application(
            RouteTable(self._routes()),
            policy=policy,
            principal_of=principal_of,
            observer=self._meter,
            startup=self._start,
            shutdown=self._stop,
        )

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
                method="GET",
                path="/v2/models",
                permission=predict,
                handler=self._names,
                summary="List models (Open Inference Protocol)",
            ),
            Route(
                method="GET",
                path="/v2/models/{endpoint}/versions/{version}",
                permission=predict,
                handler=self._model,
                summary="Model metadata of a version (Open Inference Protocol)",
            ),
            Route(
                method="GET",
                path="/v2/models/{endpoint}/versions/{version}/ready",
                permission=predict,
                handler=self._model_ready,
                summary="Whether a version answers (Open Inference Protocol)",
            ),
            Route(
                method="POST",
                path="/v2/models/{endpoint}/versions/{version}/infer",
                permission=predict,
                handler=self._infer,
                summary="Predict tensors with a version (Open Inference Protocol)",
                hot=True,
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

    async def _start(self) -> None:
        await asyncio.to_thread(self._endpoints.refresh)
        # What is loaded by now lives long: the collector need not walk it at every turn.
        gc.freeze()
        self._refresher = asyncio.create_task(self._keep_fresh())

    async def _stop(self) -> None:
        if self._refresher is not None:
            refresher, self._refresher = self._refresher, None
            refresher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await refresher
        await self._capture.close()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await asyncio.to_thread(self._endpoints.refresh)
            except Exception as error:  # noqa: BLE001  # a worker's loop: dead, it would miss every release to come
                # Most likely the stores are away for a moment: what is loaded goes on answering.
                self._meter.fail(error)

    # -- handlers ------------------------------------------------------------------------------

    async def _predict(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        asked_for = read_predict(request.body)
        asked = Asked(asked_for.rows, asked_for.units, event_micros(asked_for), asked_for.variant)
        answered = answer(live, asked)
        await self._log(live, answered)
        response = PredictResponse(
            endpoint=live.release.plan.endpoint,
            release=live.release.id,
            predictions=answered.answers,
        )
        return json_reply(response, after=self._shadow_after(live, asked, answered))

    async def _infer(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        version = request.values.get("version")
        variant = None if version is None else live.variant_of(version)
        inference = open_inference.read_request(request.headers, request.body, live, variant)
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

        def run() -> None:
            if self._shadows >= _MOST_SHADOWS:
                self._meter.skip_shadow()
                return
            self._shadows += 1
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
        return json_reply(await self._accept_labels(read_labels(request.body)))

    async def _list(self, _: Request) -> Reply:
        return json_reply([live.describe() for live in self._endpoints.all()])

    async def _metrics(self, _: Request) -> Reply:
        text = self._meter.prometheus(self._capture.dropped(), self._endpoints.failures)
        return Reply(text.encode(), content_type=b"text/plain; version=0.0.4; charset=utf-8")

    async def _live(self, _: Request) -> Reply:
        return Reply(b'{"live":true}')

    async def _is_ready(self, _: Request) -> Reply:
        if self._refresher is not None and not self._endpoints.failures:
            return Reply(b'{"ready":true,"live":true}')
        raise Unavailable(
            "a release in force is not loaded here", code="not-ready", detail={"ready": False}
        )

    async def _server(self, _: Request) -> Reply:
        return Reply(open_inference.server_metadata())

    async def _names(self, _: Request) -> Reply:
        names = [live.release.plan.endpoint for live in self._endpoints.all()]
        return json_reply({"models": names})

    async def _model(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        if "version" in request.values:
            live.variant_of(request.values["version"])
        return Reply(open_inference.model_metadata(live))

    async def _model_ready(self, request: Request) -> Reply:
        live = self._endpoints.get(request.values["endpoint"])
        answer = {"name": live.release.plan.endpoint, "ready": True}
        if "version" in request.values:
            live.variant_of(request.values["version"])
            answer["version"] = request.values["version"]
        return json_reply(answer)
