import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest

from trivet.access.permissions import Principal
from trivet.adapters.lightgbm.flavour import LightGBMFlavour
from trivet.core.clock import SystemClock
from trivet.core.errors import Forbidden
from trivet.core.facts import Scope, draft
from trivet.core.ports import Log, Stores
from trivet.http.application import Application, Handler
from trivet.http.guards import Knock, loopback_policy
from trivet.http.routes import RouteTable
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import GateVerdict, Input, Model, ModelVersion, Signature
from trivet.models.packaging import Package
from trivet.releases.service import ReleasesService
from trivet.serving.app import ServingApp
from trivet.serving.capture import Capture
from trivet.serving.endpoints import Endpoints
from trivet.serving.exchange import LabelsRequest, LabelsResponse
from trivet.serving.facts import PREDICTIONS, Prediction
from trivet.serving.predictor import LoadedModel
from trivet.serving.records import decode_prediction
from trivet.serving.service import ServingService
from trivet.testing.memory_ledger import memory_database
from trivet.testing.memory_stores import MemoryBlobs, MemoryLog, MemorySeries, MemoryTables

PORT = 7879
SCOPE = Scope(project="flights", actor="ada")
SIGNATURE = Signature(
    inputs=(
        Input(name="distance", type="number", missing="allow"),
        Input(name="stops", type="integer", missing="reject"),
        Input(name="weekend", type="boolean", missing="reject"),
        Input(name="origin", type="category", categories=("EWR", "JFK", "LGA")),
        Input(
            name="carrier", type="category", categories=("AA", "UA"), missing="allow",
            unknown="missing",
        ),
    ),
    task="binary",
    target="late",
    classes=("no", "yes"),
)  # fmt: skip
ROW: dict[str, Any] = {
    "distance": 800.5, "stops": 1, "weekend": False, "origin": "JFK", "carrier": "UA",
}  # fmt: skip
TOKENS = {
    "trv_app": Principal(name="shop", role="application"),
    "trv_viewer": Principal(name="vera", role="viewer"),
    "trv_admin": Principal(name="ada", role="admin"),
}


def some_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Make rows that fit the signature, each different from the others."""
    chance = np.random.default_rng(seed)
    return [
        {
            "distance": float(chance.uniform(100, 3000)),
            "stops": int(chance.integers(0, 3)),
            "weekend": bool(chance.integers(0, 2)),
            "origin": str(chance.choice(["EWR", "JFK", "LGA"])),
            "carrier": str(chance.choice(["AA", "UA"])),
        }
        for _ in range(count)
    ]


def a_package(blobs: MemoryBlobs, seed: int) -> Package:
    table = pl.DataFrame(some_rows(400, seed))
    matrix = Encoder(SIGNATURE).encode_frame(table)
    chance = np.random.default_rng(seed)
    target = (matrix[:, 0] + 1500 * chance.normal(size=len(matrix)) > 1500).astype(int)
    fitted = lgb.LGBMClassifier(n_estimators=8, num_leaves=7, n_jobs=1, verbose=-1, seed=seed)
    fitted.fit(matrix, target)
    candidate = Candidate.of(fitted, SIGNATURE, sample=table)
    return build_package(blobs, candidate, (LightGBMFlavour(),), requirements=b"")


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["code"]


@dataclass(frozen=True)
class Caller:
    """Asks a running application, as a server that speaks ASGI would."""

    app: Application

    @property
    def table(self) -> RouteTable[Handler]:
        return self.app.table

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        token: str | None = "trv_app",  # noqa: S107  # made up
        headers: Sequence[tuple[bytes, bytes]] = (),
        parts: Sequence[bytes | None] = (),
    ) -> Answered:
        """Send a body, or its parts without a declared length; a part that is None never comes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {b"host": f"127.0.0.1:{PORT}".encode()}
        if token:
            given[b"authorization"] = f"Bearer {token}".encode()
        if content:
            given[b"content-length"] = str(len(content)).encode()
        messages = list(parts) or [content]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            part = messages.pop(0)
            if part is None:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": part, "more_body": bool(messages)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [*(given | dict(headers)).items()],
        }
        await self.app(scope, receive, send)
        start, content_sent = sent
        return Answered(start["status"], dict(start["headers"]), content_sent["body"])


@dataclass
class Served:
    """An inference server over stores in memory, asked by direct ASGI calls."""

    blobs: MemoryBlobs
    log: Log
    refresh_s: float = 3600.0
    max_body_bytes: int = 1 << 20
    patience_s: float = 30.0
    stores: Stores = field(init=False)

    def __post_init__(self) -> None:
        database = memory_database()
        self.stores = Stores(
            ledger=database.ledger,
            journal=database.journal,
            views=database.views,
            catalog=database.catalog,
            series=MemorySeries(),
            blobs=self.blobs,
            tables=MemoryTables(),
            log=self.log,
        )
        self.releases = ReleasesService(self.stores, SCOPE)
        self.serving = ServingService(self.stores, SCOPE, SystemClock())
        self.endpoints = Endpoints(self.stores, SCOPE)
        self._versions = 0

    def model(self, package: Package) -> Model:
        """Register a package without the run behind it, which serving never asks about."""
        self._versions += 1
        verdict = draft(
            GateVerdict(model="late", gate="gate", subject=package.digest, passed=True, findings=())
        )
        version = ModelVersion(
            name="late",
            version=self._versions,
            package=package.digest,
            size_bytes=package.size_bytes,
            flavour="lightgbm",
            signature=package.signature,
            run="0" * 32,
            verdict=verdict.id,
        )
        fact = draft(version, parents=[verdict.id])
        self.stores.ledger.commit(SCOPE.batch("register", [verdict, fact]))
        return Model(id=fact.id, version=version)

    def loaded(self, model: Model) -> LoadedModel:
        return LoadedModel(self.blobs, model)

    def logged(self) -> list[Prediction]:
        return [decode_prediction(record) for _, record in self.log.read(PREDICTIONS)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Caller]:
        """Start the application, hand out who calls it, and stop it."""
        app = ServingApp(
            self.endpoints,
            Capture(self.log),
            self._accept,
            policy=msgspec.structs.replace(
                loopback_policy(PORT, max_body_bytes=self.max_body_bytes),
                patience_s=self.patience_s,
            ),
            principal_of=_principal_of,
            refresh_s=self.refresh_s,
        ).application
        orders: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        done: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        life = asyncio.create_task(app({"type": "lifespan"}, orders.get, done.put))
        orders.put_nowait({"type": "lifespan.startup"})
        assert (await done.get())["type"] == "lifespan.startup.complete"

        try:
            yield Caller(app)
        finally:
            orders.put_nowait({"type": "lifespan.shutdown"})
            await life

    def ask(self, method: str, path: str, body: Any = b"", **options: Any) -> Answered:
        """Start, ask once, stop."""

        async def once() -> Answered:
            async with self.running() as call:
                return await call(method, path, body, **options)

        return asyncio.run(once())

    async def _accept(self, request: LabelsRequest) -> LabelsResponse:
        return await asyncio.to_thread(self.serving.label, request.labels, source="http")


def _principal_of(knock: Knock) -> Principal:
    if knock.secret not in TOKENS:
        raise Forbidden("the token is not valid here", code="bad-token")
    return TOKENS[knock.secret]


@pytest.fixture(scope="session")
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(scope="session")
def champion(blobs: MemoryBlobs) -> Package:
    return a_package(blobs, seed=1)


@pytest.fixture(scope="session")
def candidate(blobs: MemoryBlobs) -> Package:
    return a_package(blobs, seed=2)


@pytest.fixture
def make(blobs: MemoryBlobs) -> Iterator[Callable[..., Served]]:
    """Make servers; each has a ledger and a log of its own."""

    def build(**options: Any) -> Served:
        return Served(blobs=blobs, log=options.pop("log", None) or MemoryLog(), **options)

    yield build
    gc.unfreeze()  # a server that starts freezes what is in memory by then


@pytest.fixture
def served(make: Callable[..., Served], champion: Package) -> Served:
    """A server with one released model, in mode `audit`."""
    found = make()
    found.releases.release("late", found.model(champion), why="first", log_mode="audit")
    return found


@pytest.fixture
def row() -> dict[str, Any]:
    return dict(ROW)


@pytest.fixture
def rows() -> Callable[..., list[dict[str, Any]]]:
    return some_rows
