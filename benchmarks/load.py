"""A load generator for HTTP/1.1 over kept-alive connections, in a process of its own.

Closed loop: every connection sends its next request when it has its answer; that measures
throughput. Open loop: requests are due at random instants of a given rate (exponential gaps), and
latency counts from the instant a request was due, whether or not a connection was free by then:
a server that stalls cannot hide behind a client that waited (coordinated omission).

`select` and not an event loop: its timeout has microseconds, and it costs less than the server.
"""

import itertools
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """Return the environment of a child that shall import what this process can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Connection:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._received = b""

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read what is there; True when the answer is whole. An answer that is no 200 raises."""
        received = self._received + self.socket.recv(1 << 16)
        head = received.find(_END)
        if head < 0 and received:
            self._received = received
            return False
        if not received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {received[:400]!r}")
        at = received.find(_LENGTH) + len(_LENGTH)
        length = int(received[at : received.find(b"\r", at)])
        is_whole = len(received) >= head + len(_END) + length
        self._received = b"" if is_whole else received
        return is_whole


def generate(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> dict[str, Any]:
    """Run a loop in a process of its own: open with a rate, closed without.

    Returns:
        `requests` that were answered, `per_s`, `p50_ms`, `p99_ms`, `p999_ms`, and `client_busy`,
        the share of a core that the generator took.
    """
    asked = {
        "port": port,
        "requests": [request.decode("latin-1") for request in requests],
        "connections": connections,
        "seconds": seconds,
        **({"rate": rate} if rate else {}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def closed_loop(
    port: int, requests: Sequence[bytes], connections: int, seconds: float
) -> dict[str, Any]:
    """Keep every connection busy for so long."""
    ring = itertools.cycle(requests)
    lines = [Connection(port) for _ in range(connections)]
    by_socket = {line.socket: line for line in lines}
    sockets = list(by_socket)
    taken: list[float] = []
    began, busy = time.perf_counter(), time.process_time()
    for line in lines:
        line.send(next(ring), time.perf_counter())
    end = began + seconds
    now = began
    while now < end:
        for ready in select.select(sockets, [], [], 1.0)[0]:
            line = by_socket[ready]
            if line.receive():
                now = time.perf_counter()
                taken.append(now - line.since)
                line.send(next(ring), now)
    return _figures(taken, now - began, time.process_time() - busy)


def open_loop(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float
) -> dict[str, Any]:
    """Send `rate` requests a second at random instants, however long the answers take."""
    ring = itertools.cycle(requests)
    chance = random.Random(1)
    free = deque(Connection(port) for _ in range(connections))
    busy_lines: dict[socket.socket, Connection] = {}
    overdue: deque[float] = deque()
    taken: list[float] = []
    began, busy = time.perf_counter(), time.process_time()
    due, end = began, began + seconds
    while due < end or busy_lines or overdue:
        now = time.perf_counter()
        while due <= now and due < end:
            overdue.append(due)
            due += chance.expovariate(rate)
        while overdue and free:
            line = free.popleft()
            line.send(next(ring), overdue.popleft())
            busy_lines[line.socket] = line
        wait = max(0.0, due - time.perf_counter()) if due < end else 1.0
        for ready in select.select(list(busy_lines), [], [], wait)[0]:
            line = busy_lines[ready]
            if line.receive():
                taken.append(time.perf_counter() - line.since)
                del busy_lines[ready]
                free.append(line)
    return _figures(taken, time.perf_counter() - began, time.process_time() - busy)


def _figures(taken: Sequence[float], seconds: float, busy_s: float) -> dict[str, Any]:
    ranked = sorted(taken)

    def percentile(share: float) -> float:
        return ranked[min(int(share * len(ranked)), len(ranked) - 1)] * 1e3

    return {
        "requests": len(taken),
        "per_s": len(taken) / seconds,
        "p50_ms": percentile(0.50),
        "p99_ms": percentile(0.99),
        "p999_ms": percentile(0.999),
        "client_busy": busy_s / seconds,
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    asked["requests"] = [request.encode("latin-1") for request in asked["requests"]]
    loop = open_loop if "rate" in asked else closed_loop
    json.dump(loop(**asked), sys.stdout)
