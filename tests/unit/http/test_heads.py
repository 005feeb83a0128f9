import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.http.test_joining import Wire, serving

from trivet.http.heads import MOST_HEAD_BYTES, HeadWatch


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as (number, _):
        yield number


def answer_to(port: int, first: bytes, part: bytes) -> bytes:
    """Send a beginning, then one part again and again until the server has enough."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(first)
        try:
            for _ in range(200):
                connection.sendall(part)
            answer = connection.recv(1000)
            while connection.recv(1000):
                pass
            return answer
        except ConnectionError:
            return b"closed"


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nx: ",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ",
    ],
    ids=["head", "trailer"],
)
@pytest.mark.parametrize("part", [b"a" * 65_536, b"a" * 65_000 + b"\r\nx: "], ids=["line", "lines"])
def test_a_head_without_an_end_is_cut_off(port: int, first: bytes, part: bytes) -> None:
    assert answer_to(port, first, part)[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 200", b"closed"}


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"x: " + b"a" * 100_000, b""),
        (b"content-length: 500000", bytes(500_000)),
        (b"transfer-encoding: chunked", b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_a_large_body_and_a_large_head_are_taken(port: int, head: bytes, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n" + body)
        assert connection.recv(12) == b"HTTP/1.1 200"


def watched(story: Callable[[HeadWatch, Wire, list[bool]], Any]) -> Wire:
    async def run() -> Wire:
        wire, answering = Wire(), [False]
        watch = HeadWatch(wire, lambda: answering[0])
        await story(watch, wire, answering)
        watch.stop()
        return wire

    return asyncio.run(run())


@pytest.mark.parametrize("begins", [False, True])
def test_a_connection_that_never_asks_is_closed(
    monkeypatch: pytest.MonkeyPatch, begins: bool
) -> None:
    monkeypatch.setattr("trivet.http.heads._PATIENCE_S", 0.05)

    async def story(watch: HeadWatch, wire: Wire, answering: list[bool]) -> None:
        if begins:
            watch.begin()
            watch.count(10)
        answering[0] = True
        await asyncio.sleep(0.12)
        assert wire.events == []
        answering[0] = False
        await asyncio.sleep(0.12)

    assert watched(story).events == ["close"]


def test_a_connection_that_asked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.http.heads._PATIENCE_S", 0.05)

    async def story(watch: HeadWatch, wire: Wire, answering: list[bool]) -> None:
        for _ in range(5):
            watch.begin()
            watch.count(MOST_HEAD_BYTES)
            watch.end()
            watch.count(10)
        await asyncio.sleep(0.12)

    assert watched(story).events == []
