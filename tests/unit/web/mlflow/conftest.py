import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from trivet.access.permissions import Principal, RoleName
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.http.application import Application
from trivet.http.guards import loopback_policy
from trivet.http.routes import RouteTable
from trivet.web.mlflow.errors import DIALECT
from trivet.web.mlflow.table import mlflow_routes

PORT = 7979
PREFIX = "/api/2.0/mlflow"


class Refused(Exception):  # what the server said, not what went wrong here
    def __init__(self, status: int, answer: dict[str, str]) -> None:
        super().__init__(f"{status} {answer}")
        self.status = status
        self.code = answer["error_code"]
        self.message = answer["message"]


class Wire:
    """Calls MLflow's interface as a client does."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def get(self, path: str, /, **query: Any) -> Any:
        return self.call("GET", path, query=urlencode(query, doseq=True))

    def post(self, path: str, **fields: Any) -> Any:
        return self.call("POST", path, body=json.dumps(fields).encode())

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        query: str = "",
        content_type: str = "application/json",
    ) -> Any:
        headers = {
            "host": f"127.0.0.1:{PORT}",
            "authorization": "Bearer ada",
            "content-type": content_type,
        }
        scope = {
            "type": "http",
            "method": method,
            "path": path if path.startswith("/") else f"{PREFIX}/{path}",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        status, answer = asyncio.run(_exchange(self._app, scope, body))
        decoded = json.loads(answer)
        if status != 200:
            raise Refused(status, decoded)
        return decoded

    def send(self, method: str, path: str, **fields: Any) -> Any:
        return self.call(method, path, body=json.dumps(fields).encode())

    def experiment(self, name: str = "flights") -> str:
        return self.post("experiments/create", name=name)["experiment_id"]

    def run(self, experiment: str = "0", **fields: Any) -> str:
        made = self.post("runs/create", experiment_id=experiment, start_time=1000, **fields)
        return made["run"]["info"]["run_id"]

    def read(self, run: str) -> Any:
        return self.get("runs/get", run_id=run)["run"]

    def found(self, experiment: str, filter: str = "", **fields: Any) -> list[str]:  # noqa: A002  # the wire's own name
        answer = self.post("runs/search", experiment_ids=[experiment], filter=filter, **fields)
        return [run["info"]["run_name"] for run in answer["runs"]]


async def _exchange(app: Application, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def wire(stores: Stores) -> Wire:
    return wire_of(stores, "developer")


@pytest.fixture
def operator(stores: Stores) -> Wire:
    """The same, for somebody who may also move aliases."""
    return wire_of(stores, "operator")


def wire_of(
    stores: Stores, role: RoleName, networks: Sequence[str] = (), *, elsewhere: bool = False
) -> Wire:
    """Return the wire as somebody of a role sees it."""
    scope = Scope(project="flights", actor="ada")
    table = RouteTable(mlflow_routes(stores, scope, networks, elsewhere=elsewhere))
    return Wire(
        Application(
            table,
            policy=loopback_policy(PORT),
            principal_of=lambda knock: Principal(name=knock.secret, role=role),
            dialects=(DIALECT,),
        )
    )


@pytest.fixture
def refused() -> type[Refused]:
    return Refused
