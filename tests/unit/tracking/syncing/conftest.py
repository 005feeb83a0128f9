"""Two stores and what lies between them: a network that loses requests and answers."""

from collections.abc import Callable, Iterator

import msgspec
import pytest

from trivet.core.courier import Upload
from trivet.core.errors import Unavailable
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.service import TrackingService
from trivet.tracking.syncing.receiving import Receiver
from trivet.tracking.syncing.sending import Sender
from trivet.tracking.syncing.wire import Delivery, Missing, Question

HERE = Scope(project="spool", actor="ada")
THERE = Scope(project="flights", actor="server")


class Network:
    """Carries requests to a receiver, as the routes do; some get lost, or their answers do."""

    def __init__(self, stores: Stores) -> None:
        self.receiver = Receiver(stores, THERE, Artifacts(stores, THERE))
        self.faults: Iterator[str] = iter(())
        self.asked: list[tuple[str, str]] = []

    def ask(self, method: str, path: str, body: bytes | Upload = b"") -> bytes:
        fault = next(self.faults, "")
        if fault == "lost":
            raise Unavailable("nobody answered", code="no-answer")
        self.asked.append((method, path))
        answer = self._answer(path, body)
        if fault == "unanswered":
            raise Unavailable("nobody answered", code="no-answer")
        return answer

    def close(self) -> None:
        return

    def _answer(self, path: str, body: bytes | Upload) -> bytes:
        if path.startswith("/sync/files/"):
            assert not isinstance(body, bytes)
            return _json(self.receiver.put(path.rpartition("/")[2], body.read()))
        assert isinstance(body, bytes)
        if path == "/sync/missing":
            question = msgspec.json.decode(body, type=Question)
            return _json(Missing(digests=self.receiver.missing(question.digests)))
        return _json(self.receiver.take(msgspec.json.decode(body, type=Delivery)))


def _json(answer: object) -> bytes:
    return msgspec.json.encode(answer)


class Pair:
    """A program's own stores, a server's, and the network between them."""

    def __init__(self, server: Stores | None = None) -> None:
        self.here, self.there = memory_stores(), server or memory_stores()
        self.network = Network(self.there)
        self.program = TrackingService(self.here, HERE)
        self.server = TrackingService(self.there, THERE)

    def sender(self) -> Sender:
        """What a program has that begins now: it knows no more than what was written."""
        return Sender(self.here, HERE, self.network, server="http://there")


@pytest.fixture
def pair(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.chdir(str(tmp_path))
    return Pair()


@pytest.fixture
def pairs(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pair]:
    monkeypatch.chdir(str(tmp_path))
    return Pair
