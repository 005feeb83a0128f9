import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trivet.http.joining import JoinedWrites

# An application that answers a body's own length and content; `/slow` takes its time, `/large`
# answers a mebibyte in many parts.
SERVER = """
import asyncio, socket, sys
from trivet.workspace.wiring import run_server

async def echo(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    body = (await receive()).get("body", b"")
    if scope["path"] == "/slow":
        print("slow", flush=True)
        await asyncio.sleep(0.5)
    parts = [b"x" * 4096] * 256 if scope["path"] == "/large" else [body]
    headers = [(b"content-length", b"%d" % sum(map(len, parts)))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
run_server(echo, listener)
"""


class Wire(asyncio.Transport):
    """A transport that notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.events: list[str] = []
        self.gone = False
        self.untaken = 0

    def write(self, data: Any) -> None:
        self.written.append(data)
        self.events.append("write")

    def close(self) -> None:
        self.gone = True
        self.events.append("close")

    def abort(self) -> None:
        self.gone = True
        self.events.append("abort")

    def is_closing(self) -> bool:
        return self.gone

    def get_write_buffer_size(self) -> int:
        return self.untaken


def on_a_wire(story: Callable[[JoinedWrites, Wire], Any]) -> Wire:
    async def run() -> Wire:
        wire = Wire()
        await story(JoinedWrites(wire), wire)
        return wire

    return asyncio.run(run())


def test_what_is_written_in_one_turn_leaves_in_order_as_one() -> None:
    async def story(joined: JoinedWrites, wire: Wire) -> None:
        joined.write(b"head,")
        joined.write(b"body")
        assert wire.written == []
        assert joined.get_write_buffer_size() == 9
        await asyncio.sleep(0)
        joined.write(b"next")
        await asyncio.sleep(0)

    assert on_a_wire(story).written == [b"head,body", b"next"]


def test_much_leaves_at_once_so_that_nothing_piles_up() -> None:
    async def story(joined: JoinedWrites, wire: Wire) -> None:
        for _ in range(40):
            joined.write(bytes(4096))
        assert sum(map(len, wire.written)) >= 2 * 65_536
        assert joined.get_write_buffer_size() < 65_536
        await asyncio.sleep(0)

    assert b"".join(on_a_wire(story).written) == bytes(40 * 4096)


def test_a_buffer_may_be_changed_once_it_was_written() -> None:
    async def story(joined: JoinedWrites, wire: Wire) -> None:
        buffer = bytearray(b"before")
        joined.write(buffer)
        buffer[:] = b"after!"
        await asyncio.sleep(0)

    assert on_a_wire(story).written == [b"before"]


def test_closing_writes_first_and_aborting_does_not() -> None:
    async def close(joined: JoinedWrites, wire: Wire) -> None:
        joined.write(b"last words")
        joined.close()
        await asyncio.sleep(0)

    async def abort(joined: JoinedWrites, wire: Wire) -> None:
        joined.write(b"last words")
        joined.abort()
        await asyncio.sleep(0)

    assert on_a_wire(close).events == ["write", "close"]
    assert on_a_wire(abort).events == ["abort"]


def test_a_client_that_takes_nothing_more_does_not_keep_a_closed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trivet.http.joining._LINGER_S", 0.01)

    async def story(joined: JoinedWrites, wire: Wire) -> None:
        wire.untaken = 100_000
        joined.close()
        await asyncio.sleep(0.1)

    assert on_a_wire(story).events == ["close", "abort"]


def test_a_connection_that_went_away_is_written_no_more() -> None:
    async def story(joined: JoinedWrites, wire: Wire) -> None:
        joined.write(b"too late")
        wire.gone = True
        await asyncio.sleep(0)

    assert on_a_wire(story).events == []


@contextmanager
def serving() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the server of this installation in a process; end it and see that it ended well."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as (number, _):
        yield number


def test_a_kept_connection_is_answered_again_and_again(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(20):
        connection.request("POST", "/", body=b"%d" % number)
        assert connection.getresponse().read() == b"%d" % number
    connection.close()


def test_an_answer_of_many_parts_arrives_whole(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/large")
    assert connection.getresponse().read() == b"x" * (1 << 20)
    connection.close()


def test_requests_that_were_sent_together_are_answered_in_order(port: int) -> None:
    asked = b"".join(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n%d" % i for i in range(5)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(asked)
        received = b""
        while received.count(b"\r\n\r\n") < 5 or not received.endswith(b"4"):
            received += connection.recv(65_536)
    bodies = [part[:1] for part in received.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]


def test_a_server_that_is_told_to_stop_answers_what_it_has_begun() -> None:
    with serving() as (number, process):
        connection = http.client.HTTPConnection("127.0.0.1", number, timeout=30)
        connection.request("POST", "/slow", body=b"patience")
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGTERM)
        assert connection.getresponse().read() == b"patience"
        connection.close()
