"""HTTP by the standard library alone, for the programs that need no client."""

import json
import os
import urllib.parse
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, NamedTuple

API = "/api/2.0/mlflow/"
JSON = {"Content-Type": "application/json"}
SERVER = urllib.parse.urlsplit(os.environ["MLFLOW_TRACKING_URI"])
TOKEN = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
PATIENCE_S = 60


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def code(self) -> str:
        return str(self.json["error_code"])

    @property
    def message(self) -> str:
        return str(self.json["message"])


def connect() -> HTTPConnection:
    kind = HTTPSConnection if SERVER.scheme == "https" else HTTPConnection
    return kind(str(SERVER.hostname), SERVER.port, timeout=PATIENCE_S)


def ask(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """Send exactly these bytes to this path, which begins with a slash or follows `API`."""
    connection = connect()
    place = SERVER.path.rstrip("/") + (path if path.startswith("/") else API + path)
    sent = {**({"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}), **(headers or {})}
    try:
        connection.request(method, place, body, sent)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, answer.read())
    finally:
        connection.close()


def send(path: str, body: Any, method: str = "POST") -> Answer:
    return ask(method, path, json.dumps(body).encode(), JSON)


def get(path: str, /, *repeated: tuple[str, str], **fields: Any) -> Answer:
    query = urllib.parse.urlencode([*fields.items(), *repeated])
    return ask("GET", f"{path}?{query}" if query else path)


def good(answer: Answer) -> Any:
    assert answer.status == 200, (answer.status, answer.body[:500])
    return answer.json


def bad(answer: Answer, status: int, code: str, *fragments: str) -> None:
    assert answer.status == status, (answer.status, answer.body[:500])
    assert answer.code == code, (answer.code, answer.message)
    for fragment in fragments:
        assert fragment in answer.message, f"{fragment!r} is not in {answer.message!r}"
