import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trivet.cli.up import Greeting, _curl, _greet, _Welcome
from trivet.workspace.example import Example

ROW = {"age": 41, "plan": 'it\'s "basic"', "city": "Zürich 日本", "note": "$(rm -rf /) `x` \\"}


def pasted(line: str) -> list[str]:
    """Let a shell read a line, and return the words that curl would get."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{line}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("folder", ["plain", "with space", "with 'quote'", "with $dollar"])
def test_a_pasted_line_sends_token_and_row_whatever_they_hold(tmp_path: Path, folder: str) -> None:
    token_file = tmp_path / folder / "token"
    token_file.parent.mkdir()
    token_file.write_text("trv_secret\n")
    example = Example(endpoint="churn", model="churn:1", row=ROW)
    words = pasted(_curl("http://127.0.0.1:7879", token_file, example))
    assert words[:3] == ["-s", "-H", "Authorization: Bearer trv_secret"]
    assert words[3] == "http://127.0.0.1:7879/predict/churn"
    assert json.loads(words[5]) == {"rows": [ROW]}


def test_before_a_release_the_line_asks_what_is_served(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("trv_secret\n")
    assert pasted(_curl("http://x", tmp_path / "token", None))[-1] == "http://x/endpoints"


GREETING = Greeting(
    project="churn",
    folder="/churn",
    api="http://a",
    serving="http://s",
    token_file="/churn/token",
    model="churn:1",
    curl="curl x",
)


def test_a_token_is_shown_to_a_terminal_and_to_no_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _greet(GREETING, "trv_secret", as_json=False)
    printed = capsys.readouterr().out
    assert "trv_secret" not in printed
    assert "/churn/token" in printed
    assert "  curl x\n" in printed
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _greet(GREETING, "trv_secret", as_json=False)
    assert "trv_secret" in capsys.readouterr().out


def test_programs_are_greeted_in_json_without_the_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _greet(GREETING, "trv_secret", as_json=True)
    printed = capsys.readouterr().out
    assert json.loads(printed)["serving"] == "http://s"
    assert "trv_secret" not in printed


@contextmanager
def server(status: int) -> Iterator[int]:
    """A server that answers every GET with this status; its port."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"error": "a release is not loaded"}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


def test_it_greets_once_when_both_servers_are_ready() -> None:
    greeted: list[str] = []
    with server(200) as api, server(200) as serving:
        welcome = _Welcome((api, serving), lambda: greeted.append("hello"))
        for _ in range(3):
            welcome.look()
    assert greeted == ["hello"]


def test_it_waits_for_the_one_that_is_not_ready_and_then_says_once_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    greeted: list[str] = []
    with server(200) as api, server(503) as serving:
        welcome = _Welcome((api, serving), lambda: greeted.append("hello"))
        welcome.look()
        assert capsys.readouterr().err == ""
        welcome._until = 0.0  # half a minute later
        welcome.look()
        welcome.look()
    assert greeted == []
    told = capsys.readouterr().err
    assert told.count("serving is not ready: a release is not loaded") == 1
    assert "the API" not in told
    assert "trivet doctor" in told


def test_a_server_that_does_not_listen_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe, server(200) as serving:
        probe.bind(("127.0.0.1", 0))
        welcome = _Welcome((probe.getsockname()[1], serving), lambda: None)
        welcome._until = 0.0
        welcome.look()
    assert "the API does not answer (connection refused)" in capsys.readouterr().err
