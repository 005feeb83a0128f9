"""Routes by which Trivet's own clients bring what programs reported elsewhere."""

import asyncio
from typing import Final

from msgspec import structs

from trivet.access.permissions import Permission
from trivet.core.clock import SystemClock
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Route
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.finding import Finder
from trivet.tracking.found import FoundRuns
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.syncing.finding import page_of
from trivet.tracking.syncing.receiving import Receiver
from trivet.tracking.syncing.wire import (
    MOST_BODY_BYTES,
    MOST_FILE_BYTES,
    MOST_RUNS,
    Delivery,
    LastStep,
    Missing,
    PageThere,
    Question,
    Receipt,
    Taken,
    Welcome,
    Wish,
)
from trivet.web.asking import body_as, check_query
from trivet.web.mlflow.paging import read_token, write_token
from trivet.web.receiving import Threads

ROOT: Final = "/sync"


def sync_routes(stores: Stores, scope: Scope) -> list[Route[Handler]]:
    """Build the routes of a project.

    Args:
        stores: Where everything is kept.
        scope: The project; what is recorded is in the name of whoever calls.
    """
    here = _Here(stores, scope)
    write = Permission.LOG
    return [
        Route(
            method="GET",
            path=ROOT,
            permission=Permission.READ,
            handler=here.welcome,
            summary="Which project takes what programs reported elsewhere",
            response=Welcome,
        ),
        Route(
            method="POST",
            path=ROOT,
            permission=write,
            handler=here.take,
            summary="Take runs, points and signs of life, each once",
            request=Delivery,
            response=Receipt,
            max_body_bytes=MOST_BODY_BYTES,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/missing",
            permission=write,
            handler=here.missing,
            summary="Say which files have not been sent yet",
            request=Question,
            response=Missing,
        ),
        Route(
            method="GET",
            path=f"{ROOT}/runs/{{id}}/last-step",
            permission=Permission.READ,
            handler=here.last_step,
            summary="Say how far a run has come that a program reported",
            response=LastStep,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/search",
            permission=Permission.READ,
            handler=here.search,
            summary="Search all runs of the project by the grammar of `trivet runs`",
            request=Wish,
            response=PageThere,
        ),
        Route(
            method="PUT",
            path=f"{ROOT}/files/{{digest}}",
            permission=write,
            handler=here.put,
            summary="Take a file by its digest",
            response=Taken,
            is_streamed=True,
            max_body_bytes=MOST_FILE_BYTES,
        ),
    ]


def is_sync(route: Route[Handler]) -> bool:
    """Say whether a route is one of these, of the project at the root."""
    return route.path == ROOT or route.path.startswith(f"{ROOT}/")


class _Here:
    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._project = scope.project
        self._artifacts = Artifacts(stores, scope)
        experiments = Experiments(stores, scope, SystemClock())
        self._finder = Finder(stores, scope, experiments, Metrics(stores))
        self._threads = Threads()

    async def welcome(self, request: Request) -> Reply:
        check_query(request)
        return json_reply(Welcome(project=self._project))

    async def take(self, request: Request) -> Reply:
        def take() -> Receipt:
            return self._receiver(request).take(body_as(request, Delivery))

        return json_reply(await asyncio.to_thread(take))

    async def missing(self, request: Request) -> Reply:
        def ask() -> Missing:
            question = body_as(request, Question)
            return Missing(digests=self._receiver(request).missing(question.digests))

        return json_reply(await asyncio.to_thread(ask))

    async def last_step(self, request: Request) -> Reply:
        receiver = self._receiver(request)
        return json_reply(await asyncio.to_thread(receiver.last_step, request.values["id"]))

    async def search(self, request: Request) -> Reply:
        check_query(request)

        def search() -> PageThere:
            return self._found(body_as(request, Wish))

        return json_reply(await asyncio.to_thread(search))

    def _found(self, wish: Wish) -> PageThere:
        if wish.ids:
            return page_of(FoundRuns(runs=tuple(self._finder.get(wish.ids))), None)
        asked = structs.replace(wish, after="", limit=MOST_RUNS)
        found = self._finder.find(
            also=wish.filters,
            order=wish.order,
            columns=wish.columns,
            experiment=wish.experiment,
            after=read_token(wish.after, structs.asdict(asked)),
            limit=wish.limit,
        )
        token = None if found.after is None else write_token(found.after, structs.asdict(asked))
        return page_of(found, token)

    async def put(self, request: Request) -> Reply:
        receiver, digest = self._receiver(request), request.values["digest"]
        taken = await self._threads.receive(
            request, lambda content: receiver.put(digest, content), lambda: receiver.begin(digest)
        )
        return json_reply(taken)

    def _receiver(self, request: Request) -> Receiver:
        check_query(request)
        own = Scope(project=self._project, actor=request.principal.name)
        return Receiver(self._stores, own, self._artifacts)
