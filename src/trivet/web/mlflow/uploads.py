"""The artifact proxy: large files that come in parts, to addresses of our own.

Clients send parts without their token, as they would to a bucket. So a part's address holds a
key, which lets send the parts of this one upload and nothing else.
"""

import re
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Method, Route
from trivet.tracking.uploads import PartWriter, Upload, Uploads
from trivet.web.mlflow.artifacts import MAX_FILE_BYTES, ROOT, Check, located
from trivet.web.mlflow.locations import Place
from trivet.web.receiving import Threads

T = TypeVar("T")

_HERE: Final = "/mpu"


class CreateRequest(msgspec.Struct):
    """Asks for an upload. `path` is the file's path on the client's machine: its name counts."""

    path: str
    num_parts: int = 1


class Credential(msgspec.Struct):
    """Where a part is sent, and with which headers."""

    url: str
    part_number: int
    headers: dict[str, str] = {}


class Part(msgspec.Struct):
    """A part that was sent, and what was answered."""

    part_number: int
    etag: str = ""


class CompleteRequest(msgspec.Struct):
    """Asks to put the parts together."""

    path: str
    upload_id: str
    parts: list[Part] = []


class AbortRequest(msgspec.Struct):
    """Asks to forget an upload."""

    path: str
    upload_id: str


def upload_routes(uploads: Uploads, threads: Threads, check: Check) -> tuple[Route[Handler], ...]:
    """Build the routes of uploads in parts.

    Args:
        uploads: Where they are.
        threads: Where requests wait for the stores.
        check: Asked before an upload is begun, completed or given up.
    """
    proxy = _Proxy(uploads, threads, check)
    write = Permission.LOG
    return (
        _route("POST", "/create/{path...}", write, proxy.create, "Begin an upload in parts"),
        _route("POST", "/complete/{path...}", write, proxy.complete, "Put an upload together"),
        _route("POST", "/abort/{path...}", write, proxy.abort, "Give an upload up"),
        _route(
            "PUT",
            "/part/{upload}/{number}",
            Permission.PUBLIC,  # the key in the address is the right to do it
            proxy.part,
            "Send a part to the address that creating answered",
            is_streamed=True,
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
        path=ROOT + _HERE + path,
        permission=permission,
        handler=handler,
        summary=summary,
        is_streamed=is_streamed,
        max_body_bytes=MAX_FILE_BYTES if is_streamed else None,
    )


class _Proxy:
    def __init__(self, uploads: Uploads, threads: Threads, check: Check) -> None:
        self._uploads = uploads
        self._threads = threads
        self._check = check

    async def create(self, request: Request) -> Reply:
        asked = _body(request, CreateRequest)
        place = _file(request, asked.path)

        def create() -> Upload:
            self._check(place, request.principal, Permission.LOG)
            return self._uploads.create(place.owner, place.path, asked.num_parts)

        upload = await self._threads.run(create)
        address = f"{_base(request)}/part/{upload.id}"
        credentials = [
            Credential(f"{address}/{number}?key={quote(upload.key)}", number)
            for number in range(1, upload.parts + 1)
        ]
        return json_reply({"upload_id": upload.id, "credentials": credentials})

    async def part(self, request: Request) -> Reply:
        upload, key = request.values["upload"], request.query().get("key", "")
        number = _number(request.values["number"])

        def begin() -> PartWriter:
            return self._uploads.begin_part(upload, number, key)

        def put(content: bytes) -> str:
            with begin() as writer:
                writer.write(content)
                return writer.finish()

        await self._threads.run(self._uploads.check_part, upload, number, key)
        tag = await self._threads.receive(request, put, begin)
        return Reply(b"{}", headers=[(b"etag", f'"{tag}"'.encode())])

    async def complete(self, request: Request) -> Reply:
        asked = _body(request, CompleteRequest)
        place = _file(request, asked.path)
        uploads = self._uploads.acting_for(request.principal.name)
        tags = {part.part_number: part.etag for part in asked.parts}
        if len(tags) != len(asked.parts):
            raise Invalid("parts has a part_number twice; expected once", code="bad-parts")

        def complete() -> None:
            self._check(place, request.principal, Permission.LOG)
            uploads.complete(place.owner, place.path, asked.upload_id, tags)

        await self._threads.run(complete)
        return json_reply({})

    async def abort(self, request: Request) -> Reply:
        asked = _body(request, AbortRequest)
        place = _file(request, asked.path)

        def abort() -> None:
            self._check(place, request.principal, Permission.LOG)
            self._uploads.abort(place.owner, place.path, asked.upload_id)

        await self._threads.run(abort)
        return json_reply({})


def _file(request: Request, local_path: str) -> Place:
    """Return where a file goes: into the folder of the request's path, under its own name."""
    name = re.split(r"[/\\]", local_path)[-1]
    return located(f"{request.values['path'].removesuffix('/')}/{name}")


def _base(request: Request) -> str:
    """Return the address, as this client writes it, below which parts are sent."""
    host = next(value for name, value in request.headers if name.lower() == b"host")
    before = request.path.partition(ROOT + _HERE)[0]
    return f"http://{host.decode('latin-1')}{quote(before)}{ROOT}{_HERE}"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise Invalid("the number of a part is none", code="bad-part")
    return int(text)


def _body(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"the body is not as expected: {error}", code="bad-body") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}", code="bad-body") from error
