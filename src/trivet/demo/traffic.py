"""Traffic: real HTTP requests to the served model, over connections that are kept open."""

import http.client
import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

from trivet.core.errors import Unavailable

_MOST_LABELS = 2000


class Traffic:
    """A client of the serving process.

    Args:
        port: Its port on loopback.
        token: A token that may predict and report labels.
        connections: How many requests are under way at once.
    """

    def __init__(self, port: int, token: str, *, connections: int = 4) -> None:
        self._port = port
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        self._mine = local()
        self._opened: list[http.client.HTTPConnection] = []
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="traffic")
        self.requests = 0
        self.busy_s = 0.0

    def predict(self, endpoint: str, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """Send one request per body; return the answers in order.

        Raises:
            Unavailable: An answer was no success; the message has what the server said.
        """
        began = time.perf_counter()
        path = f"/predict/{endpoint}"
        paths = [path] * len(bodies)
        answers: list[dict[str, Any]] = list(self._pool.map(self._post, paths, bodies))
        self.busy_s += time.perf_counter() - began
        self.requests += len(bodies)
        return answers

    def report(self, labels: Sequence[dict[str, Any]]) -> int:
        """Report true values; return how many the server accepted."""
        accepted = 0
        for start in range(0, len(labels), _MOST_LABELS):
            body = json.dumps({"labels": labels[start : start + _MOST_LABELS]}).encode()
            accepted += int(self._post("/labels", body)["accepted"])
        return accepted

    def release_of(self, endpoint: str) -> str | None:
        """Return the release that answers at present; None while nothing does."""
        try:
            found: Iterable[dict[str, Any]] = self._ask("GET", "/endpoints", None)
        except (OSError, Unavailable):
            return None
        return next((item["release"] for item in found if item["name"] == endpoint), None)

    def wait_for(self, endpoint: str, release: str, *, seconds: float = 30.0) -> None:
        """Wait until a release answers.

        Raises:
            Unavailable: It does not, after that time.
        """
        end = time.monotonic() + seconds
        while self.release_of(endpoint) != release:
            if time.monotonic() > end:
                raise Unavailable(
                    f"release {release} did not come into force within {seconds:.0f} s",
                    hint="Look at what the serving process printed.",
                )
            time.sleep(0.05)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.shutdown()
        for connection in self._opened:
            connection.close()

    def _post(self, path: str, body: bytes) -> Any:  # noqa: ANN401  # JSON
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:  # noqa: ANN401  # JSON
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is not None:
            try:
                return self._send(connection, method, path, body)
            except (ConnectionError, http.client.CannotSendRequest):
                # The server may close a connection that lay idle; that is no failure of it. What
                # was answered too late or in part is not asked again: it may count already.
                connection.close()
                self._opened.remove(connection)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._opened.append(connection)
        self._mine.connection = connection
        return self._send(connection, method, path, body)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> Any:  # noqa: ANN401  # JSON
        connection.request(method, path, body, self._headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            said = content[:300].decode(errors="replace")
            raise Unavailable(f"{method} {path} was answered {response.status}: {said}")
        return json.loads(content)
