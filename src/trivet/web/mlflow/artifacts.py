"""The artifact proxy: files put, got, listed and deleted by MLflow's clients."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Invalid, Unsupported
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.files import FileReply, reply_with_file
from trivet.http.routes import Method, Route
from trivet.tracking.artifacts import Artifacts, ArtifactWriter
from trivet.tracking.paths import clean_path, without_dots
from trivet.tracking.shelves import Artifact
from trivet.web.mlflow.fields import fields_of_query
from trivet.web.mlflow.locations import Place, read_place
from trivet.web.mlflow.runs import run_of
from trivet.web.receiving import Threads

ROOT: Final = "/api/2.0/mlflow-artifacts"
MAX_FILE_BYTES: Final = 1 << 40

Check = Callable[[Place, Principal, Permission], None]
"""Raises unless what a place belongs to is there, and the caller may do this with it."""

_WORD = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:; ?charset={_WORD})?", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`|~-]+")
# What tools send when they know nothing.
_SAYS_NOTHING: Final = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})


def artifact_routes(
    artifacts: Artifacts, threads: Threads, check: Check
) -> tuple[Route[Handler], ...]:
    """Build the routes of single files and of folders.

    Args:
        artifacts: Where they are.
        threads: Where requests wait for the stores.
        check: Asked before anything is read or written.
    """
    proxy = _Proxy(artifacts, threads, check)
    read, write = Permission.READ, Permission.LOG
    return (
        _route("PUT", "/artifacts/{path...}", write, proxy.put, "Store a file", is_streamed=True),
        _route("GET", "/artifacts/{path...}", read, proxy.get, "Download a file, or a range"),
        _route("GET", "/artifacts", read, proxy.list, "List a folder of artifacts"),
        _route("DELETE", "/artifacts/{path...}", write, proxy.delete, "Delete a file or folder"),
        _route("GET", "/presigned/{path...}", read, proxy.presigned, "Refused: there are none"),
        Route(
            method="GET",
            path="/get-artifact",
            permission=read,
            handler=proxy.get_of_run,
            summary="Download a file of a run",
        ),
    )


def _route(
    method: Method,
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    *,
    is_streamed: bool = False,
) -> Route[Handler]:
    return Route(
        method=method,
        path=ROOT + path,
        permission=permission,
        handler=handler,
        summary=summary,
        is_streamed=is_streamed,
        max_body_bytes=MAX_FILE_BYTES if is_streamed else None,
    )


class Sender:
    """Answers with files.

    Args:
        artifacts: Where they are.
        threads: Where requests wait for the stores.
        check: Asked before anything is read.
    """

    def __init__(self, artifacts: Artifacts, threads: Threads, check: Check) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._check = check

    async def send(self, request: Request, place: Place) -> Reply:
        """Answer with a file, or the range of it that the client wants.

        Raises:
            NotFound: There is none at this place.
        """

        def look() -> Artifact:
            self._check(place, request.principal, Permission.READ)
            return self._artifacts.get(place.owner, place.path)

        found = await self._threads.run(look)
        file = FileReply(
            size_bytes=found.size_bytes,
            tag=found.digest,
            content_type=found.media_type.encode("latin-1", "replace"),
            headers=[
                (b"content-disposition", _disposition(found.path)),
                (b"x-content-type-options", b"nosniff"),
            ],
        )
        in_ranges = any(name.lower() == b"range" for name, _ in request.headers)
        return await reply_with_file(
            request, file, lambda: self._artifacts.read(found, in_ranges=in_ranges)
        )


class _Proxy:
    def __init__(self, artifacts: Artifacts, threads: Threads, check: Check) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._check = check
        self._sender = Sender(artifacts, threads, check)

    async def put(self, request: Request) -> Reply:
        place = located(request.values["path"])
        artifacts = self._artifacts.acting_for(request.principal.name)
        media_type = _media_type(request)

        def put(content: bytes) -> Artifact:
            self._check(place, request.principal, Permission.LOG)
            return artifacts.put(place.owner, place.path, content, media_type=media_type)

        def begin() -> ArtifactWriter:
            self._check(place, request.principal, Permission.LOG)
            return artifacts.begin(place.owner, place.path, media_type=media_type)

        await self._threads.receive(request, put, begin)
        return json_reply({})

    async def get(self, request: Request) -> Reply:
        return await self._sender.send(request, located(request.values["path"]))

    async def get_of_run(self, request: Request) -> Reply:
        fields = fields_of_query(request.query_string)
        path = clean_path(fields.demanded("path"))
        return await self._sender.send(request, Place(kind="run", id=run_of(fields), path=path))

    async def list(self, request: Request) -> Reply:
        place = read_place(without_dots(request.query().get("path", "")))
        if place is None:
            return json_reply({"files": []})

        def look() -> list[dict[str, Any]]:
            self._check(place, request.principal, Permission.READ)
            items = self._artifacts.list(place.owner, place.path)
            return [
                {"path": item.name, "is_dir": item.is_folder}
                | ({} if item.size_bytes is None else {"file_size": item.size_bytes})
                for item in items
            ]

        return json_reply({"files": await self._threads.run(look)})

    async def delete(self, request: Request) -> Reply:
        place = located(request.values["path"])
        artifacts = self._artifacts.acting_for(request.principal.name)

        def remove() -> None:
            self._check(place, request.principal, Permission.LOG)
            artifacts.delete(place.owner, place.path)

        await self._threads.run(remove)
        return json_reply({})

    async def presigned(self, _: Request) -> Reply:
        raise Unsupported(
            "files are not reached past this server",
            code="no-presigned",
            hint="Download it from /artifacts/.",
        )


def located(path: str) -> Place:
    """Return whose artifacts a path is among.

    Raises:
        Invalid: It is among nobody's.
    """
    place = read_place(path)
    if place is None:
        raise Invalid("Invalid path: it is empty", code="bad-path")
    return place


def _media_type(request: Request) -> str | None:
    """Return what the client says its file is; None when it does not say."""
    found = [value for name, value in request.headers if name.lower() == b"content-type"]
    text = found[0].decode("latin-1").strip() if found else ""
    return text if _MEDIA_TYPE.fullmatch(text) and text not in _SAYS_NOTHING else None


def _disposition(path: str) -> bytes:
    """Say that a file is to be kept and not shown, under its own name (RFC 6266)."""
    name = path.rpartition("/")[2]
    if _TOKEN.fullmatch(name):
        return f"attachment; filename={name}".encode()
    plain = re.sub(r"[^ !#$&-\[\]-~]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()
