"""A served request: thirty numbers in, one probability out, over loopback and kept connections.

A small LightGBM model is trained, packaged, registered and released through a workspace in a
scratch folder; `trivet up --part serving` answers, one process. The floor is an application that
only echoes, under the same server, asked by the same client in the same run. Throughput is a
closed loop; latency an open one at half of that throughput (see `load`). Each figure is the best
of a few rounds, in which the servers take turns.
"""

import http.client
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import psutil

import trivet as tv
from benchmarks.load import ROOT, environment, generate
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.signatures import fit_signature

FEATURES = 30
CONNECTIONS = 64
TARGET_PER_S = 8_000
TARGET_P99_MS = 3.0
MODES = ("monitor", "audit")
ENDPOINTS = {mode: f"late-{mode}" for mode in MODES}
SETTING = f"one worker, kept connections, {FEATURES} numbers, LightGBM of 100 trees of 31 leaves"


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure throughput and latency in both log modes; `quick` takes fewer, shorter rounds."""
    rounds, seconds = (4, 0.5) if quick else (16, 1.0)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch, ExitStack() as running:
        folder = Path(scratch)
        port, floor_port = free_port(), free_port()
        asked = prepare(folder, port)
        server = running.enter_context(process("-m", "trivet", "up", "--part", "serving",
                                               "--project", str(folder), port=port))  # fmt: skip
        echo = running.enter_context(process("-m", "benchmarks.echo", str(floor_port),
                                             port=floor_port))  # fmt: skip
        places = {mode: (server, port, asked[mode]) for mode in MODES}
        places["floor"] = (echo, floor_port, asked["monitor"])
        return measure(places, rounds, seconds)


Place = tuple[psutil.Process, int, list[bytes]]
Found = dict[str, dict[str, Any]]


def measure(places: dict[str, Place], rounds: int, seconds: float) -> list[dict[str, Any]]:
    most = best(places, rounds, seconds, dict.fromkeys(places), "per_s", max)
    half: dict[str, float | None] = {name: found["per_s"] / 2 for name, found in most.items()}
    half["floor"] = half[MODES[0]]
    promised: dict[str, float | None] = dict.fromkeys(places, TARGET_PER_S / 2)
    least = best(places, rounds, seconds, half, "p99_ms", min)
    steady = best(places, rounds, seconds, promised, "p99_ms", min)
    return [
        row
        for mode in MODES
        for row in (
            throughput_row(mode, most, rounds),
            latency_row(mode, "half of that throughput", least, rounds),
            latency_row(mode, f"half of {TARGET_PER_S:,} requests/s", steady, rounds),
        )
    ]


def best(
    places: dict[str, Place],
    rounds: int,
    seconds: float,
    rates: dict[str, float | None],
    figure: str,
    better: Any,
) -> Found:
    """Load the servers in turn; return each one's round with the best figure."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, place in places.items():
            found[name].append(load(place, seconds, rates[name]))
    return {name: better(taken, key=lambda one: one[figure]) for name, taken in found.items()}


def throughput_row(mode: str, found: Found, rounds: int) -> dict[str, Any]:
    ours, floor = found[mode], found["floor"]
    return {
        "id": "2.5",
        "what": f"served request, log mode {mode}: throughput",
        "value": round(ours["per_s"]),
        "unit": "requests/s",
        "target": TARGET_PER_S,
        "floor": round(floor["per_s"]),
        "ratio": round(ours["per_s"] / floor["per_s"], 3),
        "ok": ours["per_s"] >= TARGET_PER_S,
        "mode": f"{mode}; {SETTING}; closed loop, {CONNECTIONS} connections, best of {rounds} "
        f"rounds; server {ours['server_us']:.0f} µs of processor a request, client "
        f"{ours['client_busy']:.0%} of a core; floor: an echo under the same server",
    }


def latency_row(mode: str, load_: str, found: Found, rounds: int) -> dict[str, Any]:
    ours, floor = found[mode], found["floor"]
    return {
        "id": "2.5",
        "what": f"served request, log mode {mode}: p99 at {load_}",
        "value": round(ours["p99_ms"], 2),
        "unit": "ms",
        "target": TARGET_P99_MS,
        "floor": round(floor["p99_ms"], 2),
        "ratio": round(ours["p99_ms"] / floor["p99_ms"], 2),
        "ok": ours["p99_ms"] <= TARGET_P99_MS,
        "mode": f"{mode}; {SETTING}; open loop, {ours['per_s']:,.0f} requests/s at random "
        f"instants, best of {rounds} rounds; median {ours['p50_ms']:.2f} ms, p99.9 "
        f"{ours['p999_ms']:.2f} ms; floor: an echo, {floor['per_s']:,.0f} requests/s",
    }


def load(place: Place, seconds: float, rate: float | None = None) -> dict[str, Any]:
    """Load a server; add what one request cost it in processor time, in µs."""
    server, port, requests = place
    before = sum(server.cpu_times()[:2])
    found = generate(port, requests, CONNECTIONS, seconds, rate)
    spent = sum(server.cpu_times()[:2]) - before
    return {**found, "server_us": spent / found["requests"] * 1e6}


def prepare(folder: Path, port: int) -> dict[str, list[bytes]]:
    """Make a project with one model behind an endpoint per log mode; return requests for each."""
    settings = f'project = "bench"\n[up]\nserving_port = {port}\n'
    (folder / "trivet.toml").write_text(settings, "utf-8")
    (folder / "pipeline.py").write_text("# The benchmark trains by itself.\n", "utf-8")
    table = made_up(4_000)
    signature = fit_signature(table, "late", "binary")
    encoder = Encoder(signature)
    fitted = lgb.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1)
    fitted.fit(encoder.encode_frame(table), encoder.encode_target(table))
    always = tv.check("is-a-benchmark")(lambda evidence: True)
    with tv.open(folder) as workspace:
        data = workspace.data.publish("table", {"table": table}, source="made up")
        run = workspace.tracking.start(
            "train", entry="pipeline:train", folder=folder, data=[data.id]
        )
        run = workspace.tracking.finish(run.id, "succeeded")
        package = workspace.models.package(Candidate.of(fitted, signature, sample=table), run=run)
        verdict_id, _ = workspace.models.judge(
            "late", package, tv.Gate(name="open", checks=(always,)), {}, run=run
        )
        model = workspace.models.register("late", package, run=run, verdict_id=verdict_id)
        for mode in MODES:
            workspace.releases.release(ENDPOINTS[mode], model, why="benchmark", log_mode=mode)
        token = workspace.access.issue("bench", "application")
    bodies = [
        msgspec.json.encode({"rows": [row]}) for row in table.drop("late").head(1_000).to_dicts()
    ]
    return {mode: [post(port, ENDPOINTS[mode], token, body) for body in bodies] for mode in MODES}


def made_up(count: int) -> pl.DataFrame:
    chance = np.random.default_rng(7)
    matrix = chance.normal(size=(count, FEATURES)).round(4)
    late = matrix[:, :5].sum(axis=1) + chance.normal(size=count) > 0
    columns = {f"f{at:02d}": matrix[:, at] for at in range(FEATURES)}
    return pl.DataFrame({**columns, "late": late.astype(np.int64)})


def post(port: int, endpoint: str, token: str, body: bytes) -> bytes:
    head = (
        f"POST /predict/{endpoint} HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        "user-agent: bench\r\n"
        "accept: */*\r\n"
        f"authorization: Bearer {token}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "\r\n"
    )
    return head.encode() + body


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def process(*arguments: str, port: int) -> Generator[psutil.Process]:
    """Run a Python process that answers on a port, and end it."""
    command: Sequence[str] = (sys.executable, *arguments)
    with subprocess.Popen(command, cwd=ROOT, env=environment()) as running:
        try:
            wait_until_ready(running, port)
            yield psutil.Process(running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def wait_until_ready(running: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if running.poll() is not None:
            raise RuntimeError(f"the server ended with {running.returncode}")
        time.sleep(0.1)
    raise RuntimeError("the server was not ready within a minute")


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
