import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trivet.core.errors import Unavailable
from trivet.workspace.parts import bind
from trivet.workspace.readiness import Asked, why_not_ready


@contextmanager
def answering(reply: bytes) -> Iterator[Asked]:
    """A server that gives one answer to whoever comes first."""
    with bind(0) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Asked(name="serving", port=listener.getsockname()[1], path="/ready")
        thread.join()


def http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (http("200 OK", b"{}"), ""),
        (
            http("503 Service Unavailable", b'{"error": "a release is not loaded"}'),
            "serving is not ready: a release is not loaded",
        ),
        (http("500 Oh", b"no json"), "serving is not ready: status 500"),
        (http("500 Oh", b"[1]"), "serving is not ready: status 500"),
        (b"gibberish\r\n\r\n", "serving does not answer"),
        (b"", "serving does not answer"),
    ],
)
def test_a_server_is_ready_or_says_why_not(reply: bytes, words: str) -> None:
    with answering(reply) as server:
        trouble = why_not_ready(server)
    assert trouble.startswith(words)
    assert bool(trouble) is bool(words)


def test_a_port_where_nobody_listens_does_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Asked(name="the API", port=probe.getsockname()[1], path="/health")
        assert why_not_ready(server) == "the API does not answer (connection refused)"


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with bind(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 cannot be used") as caught:
            bind(port)
    assert caught.value.code == "port-taken"
    assert "trivet.toml" in caught.value.hint


def test_a_port_that_is_being_left_is_waited_for() -> None:
    first = bind(0)
    port = first.getsockname()[1]
    threading.Timer(0.3, first.close).start()
    with bind(port, patience_s=20.0) as second:
        assert second.getsockname() == ("127.0.0.1", port)
