import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import pytest

from trivet.core.errors import Unavailable
from trivet.demo.traffic import Traffic

TOKEN = "a-token"


class Serving(ThreadingHTTPServer):
    """A serving process in small: echoes rows, counts labels, and can misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = Lock()
        self.received: list[tuple[str, str, Any]] = []
        self.connections = 0
        self.release = "first"
        self.closes_after_answers = False
        self.failing: bytes | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def bodies(self, path: str) -> list[Any]:
        return [body for asked, _, body in self.received if asked == path]


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Serving

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        self.answer(200, [{"name": "flights", "release": self.server.release}])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            said = str(self.headers["Authorization"])
            self.server.received.append((self.path, said, body))
        if self.server.failing is not None:
            self.write(500, self.server.failing)
        elif self.path == "/labels":
            self.answer(200, {"accepted": len(body["labels"])})
        else:
            self.answer(200, {"predictions": [{"id": body["rows"][0]}]})

    def answer(self, status: int, content: Any) -> None:
        self.write(status, json.dumps(content).encode())

    def write(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        # Closed without a word in the headers, as a server does with a connection that lay idle.
        self.close_connection = self.server.closes_after_answers

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def traffic(serving: Serving) -> Iterator[Traffic]:
    client = Traffic(serving.port, TOKEN)
    yield client
    client.close()


def requests(count: int) -> list[bytes]:
    return [json.dumps({"rows": [at]}).encode() for at in range(count)]


def ids(answers: list[dict[str, Any]]) -> list[Any]:
    return [answer["predictions"][0]["id"] for answer in answers]


def labels(count: int) -> list[dict[str, Any]]:
    return [{"prediction": str(at), "value": True} for at in range(count)]


def test_answers_come_in_the_order_of_the_questions(traffic: Traffic) -> None:
    assert ids(traffic.predict("flights", requests(50))) == list(range(50))
    assert traffic.requests == 50
    assert traffic.busy_s > 0


def test_every_request_shows_the_token_to_the_endpoint_it_names(
    serving: Serving, traffic: Traffic
) -> None:
    traffic.predict("flights", requests(3))
    assert {(path, said) for path, said, _ in serving.received} == {
        ("/predict/flights", f"Bearer {TOKEN}")
    }


def test_connections_are_kept_open(serving: Serving, traffic: Traffic) -> None:
    for _ in range(5):
        traffic.predict("flights", requests(20))
    assert serving.connections <= 4


def test_a_connection_that_the_server_closed_is_opened_anew_and_nothing_asked_twice(
    serving: Serving, traffic: Traffic
) -> None:
    serving.closes_after_answers = True
    for _ in range(3):
        assert ids(traffic.predict("flights", requests(12))) == list(range(12))
    assert len(serving.bodies("/predict/flights")) == 36


def test_an_answer_that_is_no_success_is_an_error_with_the_server_s_words(
    serving: Serving, traffic: Traffic
) -> None:
    serving.failing = b'{"message": "the model is on fire"}'
    with pytest.raises(Unavailable, match=r"POST /predict/flights was answered 500.*on fire"):
        traffic.predict("flights", requests(1))


def test_after_an_error_the_next_request_is_answered(serving: Serving, traffic: Traffic) -> None:
    serving.failing = b"busy"
    with pytest.raises(Unavailable):
        traffic.predict("flights", requests(8))
    serving.failing = None
    assert ids(traffic.predict("flights", requests(8))) == list(range(8))
    assert traffic.requests == 8


def test_labels_are_reported_in_batches_and_each_once(serving: Serving, traffic: Traffic) -> None:
    assert traffic.report(labels(4500)) == 4500
    batches = [body["labels"] for body in serving.bodies("/labels")]
    assert [len(batch) for batch in batches] == [2000, 2000, 500]
    assert [label for batch in batches for label in batch] == labels(4500)


def test_no_labels_are_no_request(serving: Serving, traffic: Traffic) -> None:
    assert traffic.report([]) == 0
    assert serving.received == []


def test_a_release_is_waited_for_until_it_answers(serving: Serving, traffic: Traffic) -> None:
    assert traffic.release_of("flights") == "first"
    assert traffic.release_of("boats") is None
    traffic.wait_for("flights", "first")
    waiting = Thread(target=traffic.wait_for, args=("flights", "second"))
    waiting.start()
    serving.release = "second"
    waiting.join(20)
    assert not waiting.is_alive()


def test_a_release_that_never_answers_is_named(traffic: Traffic) -> None:
    with pytest.raises(Unavailable, match="release third did not come into force"):
        traffic.wait_for("flights", "third", seconds=0.0)


def test_nothing_answers_while_nothing_serves() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        lonely = Traffic(free.getsockname()[1], TOKEN)
        assert lonely.release_of("flights") is None
        with pytest.raises(OSError, match="refused"):
            lonely.predict("flights", requests(1))
        lonely.close()
