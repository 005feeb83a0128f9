"""Files by other addresses than the artifact proxy's: those that pages and small programs know."""

from collections.abc import Sequence

from msgspec.structs import replace

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.core.moving import SPANS_FILE
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Method, Route
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.paths import clean_path
from trivet.web.mlflow.artifacts import Check, Sender
from trivet.web.mlflow.calls import RoomsOf
from trivet.web.mlflow.fields import fields_of_query
from trivet.web.mlflow.locations import Place, read_location
from trivet.web.mlflow.model_versions import files_of_version
from trivet.web.receiving import Threads


def file_routes(
    artifacts: Artifacts,
    threads: Threads,
    check: Check,
    rooms_of: RoomsOf,
    prefixes: Sequence[str],
) -> list[Route[Handler]]:
    """Build the routes.

    Args:
        artifacts: Where the files are.
        threads: Where requests wait for the stores.
        check: Asked before anything is read or written.
        rooms_of: Knows the versions of models.
        prefixes: What comes before the paths that are not at the root.
    """
    files = _Files(artifacts, threads, check, rooms_of)
    read, write = Permission.READ, Permission.LOG
    model = "/logged-models/{model_id}/artifacts/files"
    below = [
        _route("GET", model, read, files.of_model, "Download a file of a logged model"),
        _route("GET", "/get-trace-artifact", read, files.of_trace, "Download a trace's spans"),
        _route("POST", "/upload-artifact", write, files.upload, "Store a file of a run"),
    ]
    version = "/model-versions/get-artifact"
    return [
        _route("GET", version, read, files.of_version, "Download a file of a version"),
        *(replace(route, path=prefix + route.path) for route in below for prefix in prefixes),
    ]


def _route(
    method: Method, path: str, permission: Permission, handler: Handler, summary: str
) -> Route[Handler]:
    return Route(method=method, path=path, permission=permission, handler=handler, summary=summary)


class _Files:
    def __init__(
        self, artifacts: Artifacts, threads: Threads, check: Check, rooms_of: RoomsOf
    ) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._check = check
        self._rooms_of = rooms_of
        self._sender = Sender(artifacts, threads, check)

    async def of_model(self, request: Request) -> Reply:
        path = clean_path(fields_of_query(request.query_string).demanded("artifact_file_path"))
        place = Place(kind="model", id=request.values["model_id"], path=path)
        return await self._sender.send(request, place)

    async def of_trace(self, request: Request) -> Reply:
        trace = fields_of_query(request.query_string).demanded("request_id")
        return await self._sender.send(request, Place(kind="trace", id=trace, path=SPANS_FILE))

    async def of_version(self, request: Request) -> Reply:
        fields = fields_of_query(request.query_string)
        path = clean_path(fields.demanded("path"))
        rooms = self._rooms_of(request.principal.name)
        folder = read_location(await self._threads.run(files_of_version, rooms, fields))
        below = f"{folder.path}/{path}" if folder.path else path
        return await self._sender.send(request, replace(folder, path=below))

    async def upload(self, request: Request) -> Reply:
        fields = fields_of_query(request.query_string)
        run, path = (_specified(fields.text(name), name) for name in ("run_uuid", "path"))
        place = Place(kind="run", id=run, path=clean_path(path))
        _specified(request.body, "data")
        artifacts = self._artifacts.acting_for(request.principal.name)

        def put() -> None:
            self._check(place, request.principal, Permission.LOG)
            artifacts.put(place.owner, place.path, request.body)

        await self._threads.run(put)
        return json_reply({})


def _specified(value: "str | bytes", name: str) -> str:
    if not value:
        raise Invalid(f"Request must specify {name}.", code="missing-field")
    return value if isinstance(value, str) else ""
