"""Points over HTTP from four connections at once, in batches as MLflow's client writes them.

The batches are encoded before; what counts is the server. Every point is another one, and at the
end the server is asked how many there are: none that it acknowledged may be missing.
"""

import http.client
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load import generate
from benchmarks.parts import Rows
from benchmarks.reporting.calling import BATCH, figure
from benchmarks.reporting.servers import MLFLOW, Place, mlflow_server, trivet_server

CONNECTIONS = 4
TARGET = 100_000
METRICS = 10
_API = "/api/2.0/mlflow"


def rows(quick: bool) -> Rows:
    """Measure Trivet's server and MLflow's by turns; the better round counts."""
    rounds, seconds = (2, 1.5) if quick else (5, 3.0)
    with (
        tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch,
        ExitStack() as running,
    ):
        ours = running.enter_context(trivet_server(Path(scratch) / "trivet"))
        theirs = running.enter_context(mlflow_server(Path(scratch) / "mlflow"))
        taken = [
            (measure(ours, seconds, count=500_000), measure(theirs, seconds, count=40_000))
            for _ in range(rounds)
        ]
    mine, peer = (
        max(column, key=lambda one: one["points_per_s"]) for column in zip(*taken, strict=True)
    )
    value = mine["points_per_s"]
    return [
        {
            "what": f"points over HTTP, {CONNECTIONS} connections, batches of {BATCH:,}",
            "value": round(value),
            "unit": "points/s",
            "target": TARGET,
            "floor": None,
            "ratio": None,
            "ok": value >= TARGET,
            "peer": [MLFLOW, figure(peer["points_per_s"])],
            "better": "high",
            "mode": f"encoded before, {METRICS} metrics, durable when answered, all found again; "
            f"best of {rounds} rounds; server {mine['server_us']:.1f} µs of processor a point, "
            f"client {mine['client_busy']:.0%} of a core of the same machine; a batch's median "
            f"{mine['p50_ms']:.1f} ms, MLflow {peer['p50_ms']:.1f} ms",
        }
    ]


def measure(place: Place, seconds: float, *, count: int) -> dict[str, Any]:
    """Send at most so many points a second; every batch is another one."""
    run = call(place, "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    batches = int(count * seconds) // BATCH
    requests = [post(place, "/runs/log-batch", body_of(run, number)) for number in range(batches)]
    before = sum(place.process.cpu_times()[:2])
    found = generate(place.port, requests, CONNECTIONS, seconds)
    spent = sum(place.process.cpu_times()[:2]) - before
    points = found["requests"] * BATCH
    if found["requests"] > batches - CONNECTIONS:
        raise RuntimeError("the server is quicker than the batches that were prepared")
    there = points_of(place, run)
    if there < points:
        raise RuntimeError(f"{points:,} points were acknowledged, {there:,} are there")
    return {**found, "points_per_s": found["per_s"] * BATCH, "server_us": spent / points * 1e6}


def body_of(run: str, number: int) -> bytes:
    """Write a batch as MLflow's client does: protobuf's JSON, numbers of 64 bits as they are."""
    metrics = [
        {
            "key": f"metric-{at % METRICS}",
            "value": at / 7,
            "timestamp": 1_700_000_000_000 + at,
            "step": number * BATCH + at,
        }
        for at in range(BATCH)
    ]
    return json.dumps({"run_id": run, "metrics": metrics}).encode()


def points_of(place: Place, run: str) -> int:
    return sum(len(history(place, run, f"metric-{number}")) for number in range(METRICS))


def history(place: Place, run: str, key: str) -> list[dict[str, Any]]:
    path = f"/metrics/get-history?run_id={run}&metric_key={key}"
    return call(place, path, None).get("metrics", [])


def call(place: Place, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Ask a server once, and read its answer."""
    return json.loads(answer_of(place, path, body))


def answer_of(place: Place, path: str, body: dict[str, Any] | bytes | None) -> bytes:
    """Ask a server once; an answer that is no 200 raises."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=120)
    headers = {"content-type": "application/json"}
    if place.token:
        headers["authorization"] = f"Bearer {place.token}"
    try:
        if body is None:
            connection.request("GET", _API + path, headers=headers)
        else:
            written = body if isinstance(body, bytes) else json.dumps(body)
            connection.request("POST", _API + path, written, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {content[:400]!r}")
    return content


def post(place: Place, path: str, body: bytes) -> bytes:
    """Return a whole request."""
    return (
        f"POST {_API}{path} HTTP/1.1\r\n"
        f"host: 127.0.0.1:{place.port}\r\n"
        "user-agent: mlflow-python-client/3.17.2\r\n"
        "accept-encoding: gzip, deflate\r\n"
        "accept: */*\r\n"
        + (f"authorization: Bearer {place.token}\r\n" if place.token else "")
        + "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "\r\n"
    ).encode() + body
