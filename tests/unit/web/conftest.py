import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trivet.access.permissions import ROLES
from trivet.core.ports import Stores
from trivet.http.application import Application
from trivet.http.guards import loopback_policy
from trivet.testing.memory_workers import MemoryWorkers
from trivet.web.app import build_app
from trivet.web.tracking_app import build_tracking_app
from trivet.workspace.parts import serving_app
from trivet.workspace.settings import Settings
from trivet.workspace.wiring import Opened
from trivet.workspace.workspace import Workspace

PORT = 7878
POLICY = loopback_policy(PORT)


@dataclass(frozen=True)
class Answer:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls an ASGI application as a server would."""

    def __init__(self, app: Application, tokens: Mapping[str, str]) -> None:
        self.app = app
        self.tokens = tokens

    def call(
        self,
        method: str,
        path: str,
        *,
        role: str | None = "admin",
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """Call as a role, with another token, or (role None) with none at all."""
        given = {"host": f"127.0.0.1:{PORT}", **(headers or {})}
        secret = token or (self.tokens[role] if role else None)
        if secret is not None:
            given["authorization"] = f"Bearer {secret}"
        content = body if isinstance(body, bytes) else b"" if body is None else _json(body)
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in given.items() if v],
            "client": (address, 40_000),
        }
        return asyncio.run(_exchange(self.app, scope, content))

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.call("POST", path, body=body, **options)


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


async def _exchange(app: Application, scope: dict[str, Any], body: bytes) -> Answer:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


@pytest.fixture
def workspace(tmp_path: Path, stores: Stores) -> Iterator[Workspace]:
    folder = tmp_path / ".trivet"
    folder.mkdir()
    opened = Opened(
        stores=stores,
        workers=MemoryWorkers(),
        folder=folder,
        close=lambda: None,
        backup_ledger=lambda path: path,
        mend_columns=lambda: 0,
        hold_merges=nullcontext,
    )
    settings = Settings(project="left", model="left", endpoint="left", flow="pipeline:train")
    with Workspace(tmp_path, settings, actor="ada", opened=opened) as workspace:
        yield workspace


@pytest.fixture
def tokens(workspace: Workspace) -> dict[str, str]:
    return {
        role: workspace.access.issue(role, role, project="*" if role == "owner" else None)
        for role in ROLES
    }


@pytest.fixture
def api(workspace: Workspace, tokens: dict[str, str]) -> Client:
    return Client(build_app(workspace, policy=POLICY), tokens)


@pytest.fixture
def serving(workspace: Workspace, tokens: dict[str, str]) -> Client:
    return Client(serving_app(workspace, POLICY), tokens)


@pytest.fixture
def tracking(workspace: Workspace, tokens: dict[str, str]) -> Client:
    return Client(build_tracking_app(workspace, policy=POLICY), tokens)


@pytest.fixture
def clients(api: Client, serving: Client, tracking: Client) -> dict[str, Client]:
    return {"api": api, "serving": serving, "tracking": tracking}
