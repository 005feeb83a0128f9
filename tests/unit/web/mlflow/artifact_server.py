"""A server of the artifact routes alone, over stores in a folder, on a port of its own.

python artifact_server.py FOLDER [PATIENCE_S [COUNT]]: prints the port, then answers until it is
told to stop. With a count it sends as many files to itself, in several threads, and prints the
thread and the number of each that was acknowledged: crash tests end it at any moment.
"""

import http.client
import os
import random
import socket
import sys
import threading
from pathlib import Path

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.adapters.files.blobs import FileBlobs
from trivet.adapters.sqlite.database import Database, open_database
from trivet.core.clock import SystemClock
from trivet.core.errors import Forbidden, NotFound
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.http.application import Application
from trivet.http.guards import Knock, loopback_policy
from trivet.http.routes import RouteTable, under
from trivet.testing.memory_stores import MemoryLog, MemorySeries, MemoryTables
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.uploads import Uploads
from trivet.web.mlflow.artifacts import artifact_routes
from trivet.web.mlflow.errors import DIALECT
from trivet.web.mlflow.locations import Place
from trivet.web.mlflow.uploads import upload_routes
from trivet.web.receiving import Threads
from trivet.workspace.wiring import run_server

SCOPE = Scope(project="crash", actor="server")
THREADS = 3
ROLES = {"trv_viewer": "viewer", "trv_developer": "developer"}


def open_stores(folder: Path) -> tuple[Database, Stores]:
    """Open real ledger, views and blobs; what artifacts do not use is in memory."""
    database = open_database(folder / "ledger")
    return database, Stores(
        ledger=database.ledger,
        journal=database.journal,
        views=database.views,
        catalog=database.catalog,
        series=MemorySeries(),
        blobs=FileBlobs(folder / "blobs"),
        tables=MemoryTables(),
        log=MemoryLog(),
    )


def principal_of(knock: Knock) -> Principal:
    """Know two tokens."""
    token = knock.secret
    if token not in ROLES:
        raise Forbidden("the token is not valid here", code="bad-token")
    return Principal(name=token.removeprefix("trv_"), role=ROLES[token])


def check(place: Place, principal: Principal, permission: Permission) -> None:
    """Know every owner but one."""
    if place.id == "unknown":
        raise NotFound(f"Run with id={place.id} not found", code="no-run")


def build(stores: Stores, port: int, patience_s: float) -> Application:
    """Build the application: the routes at the root, and once more below a project."""
    artifacts = Artifacts(stores, SCOPE)
    threads = Threads()
    uploads = Uploads(stores, artifacts, SCOPE.project, SystemClock())
    routes = [
        *artifact_routes(artifacts, threads, check),
        *upload_routes(uploads, threads, check),
    ]
    return Application(
        RouteTable([*routes, *under("/{project}", routes)]),
        policy=msgspec.structs.replace(loopback_policy(port), patience_s=patience_s),
        principal_of=principal_of,
        dialects=[DIALECT],
    )


def path_of(thread: int, number: int) -> str:
    """Name the file that is sent: a few paths again and again."""
    return f"folder{number % 3}/file{number % 7}.bin"


def next_content(chance: random.Random) -> bytes:
    """Make a file's bytes: some fit into one block, some do not."""
    return chance.randbytes(chance.choice([0, 10, 5_000, 1 << 20, (2 << 20) + 5]))


def upload(port: int, thread: int, count: int) -> None:
    """Put files, and say of each when it was acknowledged."""
    chance = random.Random(thread)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": "Bearer trv_developer"}
    root = f"/api/2.0/mlflow-artifacts/artifacts/0/run{thread}/artifacts"
    for number in range(count):
        place = f"{root}/{path_of(thread, number)}"
        connection.request("PUT", place, next_content(chance), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise AssertionError(f"{place}: {answer.status}")
        os.write(1, f"{thread} {number}\n".encode())


def main(folder: str, patience_s: str = "30", count: str = "0") -> None:
    """Answer until told to stop."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    database, stores = open_stores(Path(folder))
    with database:
        os.write(1, b"ready\n" if int(count) else b"%d\n" % port)
        for thread in range(THREADS if int(count) else 0):
            arguments = (port, thread, int(count))
            threading.Thread(target=upload, args=arguments, daemon=True).start()
        run_server(build(stores, port, float(patience_s)), listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
