"""People sign in: at a real provider in a process of its own, and with a password."""

import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

pytest.importorskip("joserfc")

ROOT = Path(__file__).parents[2]
PROVIDER = Path(os.environ.get("TRIVET_OIDC_PYTHON", ROOT / ".venv-oidc" / "bin" / "python"))
PASSWORD = "correct horse battery staple"

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not PROVIDER.exists(), reason="no provider here: `make test` installs one"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, ready: str) -> Iterator[str]:
    """Run a server until the end of the block; return the line that says that it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CLIENT_SECRET": "s3cret"}
    with (folder / "errors").open("ab") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or ready not in lines[-1]:
            line = process.stdout.readline()
            assert line, (folder / "errors").read_text()
            lines.append(line)
        yield "".join(lines)
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [str(PROVIDER), "-W", "ignore", str(Path(__file__).with_name("provider_child.py"))]
    with running(command, tmp_path_factory.mktemp("provider"), "ready") as said:
        yield said.split()[-1]


@pytest.fixture(scope="module")
def folder(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signing-in")
    (folder / "trivet.toml").write_text(
        f"""
project = "left"

[sign_in]
issuer = "{provider}"
client_id = "trivet"
secret_env = "CLIENT_SECRET"

[sign_in.roles]
data = {{ left = "developer" }}
everybody = {{ "*" = "viewer" }}
"""
    )
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", "0", "--json"]
    with running(command, folder, "}") as said:
        url = json.loads(said)["url"]
        wait_for(url)
        yield url


def wait_for(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if Browser().get(f"{url}/health").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.place = response.headers.get("location", "")
        self.cookies = response.headers.get_all("set-cookie") or []
        self.headers = response.headers
        self.body = response.read()

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Browser:
    """Keeps cookies by place and path, and follows nothing by itself."""

    def __init__(self) -> None:
        self.cookies: dict[tuple[str, str], tuple[str, str]] = {}

    def get(self, url: str, **headers: str) -> Answer:
        return self.send("GET", url, **headers)

    def send(self, method: str, url: str, body: bytes | None = None, **headers: str) -> Answer:
        parts = urlsplit(url)
        sent = [
            f"{name}={value}"
            for (place, name), (path, value) in self.cookies.items()
            if place == parts.netloc and parts.path.startswith(path)
        ]
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if sent:
            given["cookie"] = "; ".join(sent)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, given)
        answer = Answer(connection.getresponse())
        connection.close()
        for cookie in answer.cookies:
            pair, *rest = cookie.split("; ")
            name, _, value = pair.partition("=")
            path = next((r[5:] for r in rest if r.startswith("Path=")), "/")
            self.cookies[parts.netloc, name] = (path, value)
            if "Max-Age=0" in rest:
                del self.cookies[parts.netloc, name]
        return answer

    def cookie(self, name: str) -> str:
        return next(value for (_, known), (_, value) in self.cookies.items() if known == name)


def consent(browser: Browser, url: str, subject: str) -> str:
    """Sign in at the provider as somebody; return where it sends the browser."""
    assert browser.get(url).status == 200
    form = urlencode({"sub": subject}).encode()
    answer = browser.send("POST", url, form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 302, answer.body
    return answer.place


def sign_in(browser: Browser, server: str, subject: str = "77", onward: str = "/session") -> Answer:
    went = browser.get(f"{server}/login?{urlencode({'next': onward})}")
    assert went.status == 302, went.body
    back = consent(browser, went.place, subject)
    return browser.get(back, sec_fetch_site="cross-site", sec_fetch_mode="navigate")


def trivet(folder: Path, *words: str, line: str = "", **variables: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "trivet", *words, "--json", "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables},
        input=line,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_somebody_signs_in_and_may_what_their_groups_may(server: str) -> None:
    browser = Browser()
    came = sign_in(browser, server)
    assert came.status == 200, came.body
    assert b'url=/session"' in came.body
    session = next(cookie for cookie in came.cookies if cookie.startswith("trivet_session="))
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(session.split("; "))
    who = browser.get(f"{server}/session").data
    assert (who["name"], who["role"], who["proof"]) == ("carla", "developer", "session")
    assert browser.get(f"{server}/projects").data == [{"name": "left", "role": "developer"}]


def test_what_a_session_changes_needs_its_other_half(server: str) -> None:
    browser = Browser()
    sign_in(browser, server)
    csrf = browser.get(f"{server}/session").data["csrf"]
    create = f"{server}/api/2.0/mlflow/experiments/create"

    def change(name: str, **headers: str) -> int:
        body = json.dumps({"name": name}).encode()
        return browser.send("POST", create, body, content_type="application/json", **headers).status

    assert change("a") == 403
    assert change("a", origin=server) == 403
    assert change("a", origin="http://evil.example", x_trivet_csrf=csrf) == 403
    assert change("a", origin=server, x_trivet_csrf=csrf[:-1]) == 403
    assert change("a", origin=server, x_trivet_csrf=csrf) == 200


def test_signing_out_ends_the_session_for_good(server: str) -> None:
    browser = Browser()
    sign_in(browser, server)
    csrf = browser.get(f"{server}/session").data["csrf"]
    secret = browser.cookie("trivet_session")
    out = browser.send("DELETE", f"{server}/session", origin=server, x_trivet_csrf=csrf)
    assert out.status == 200, out.body
    assert browser.get(f"{server}/session").status == 401
    assert Browser().get(f"{server}/session", cookie=f"trivet_session={secret}").status == 401


def test_an_answer_of_the_provider_is_good_once_and_for_one_browser(server: str) -> None:
    browser, other = Browser(), Browser()
    back = consent(browser, browser.get(f"{server}/login").place, "77")
    other.get(f"{server}/login")
    assert Browser().get(back).status == 403  # no attempt of its own
    assert other.get(back).data["code"] == "bad-state"  # an attempt, but not this one
    bent = back.replace("state=", "state=x")
    attempt = browser.cookie("trivet_login")
    assert browser.get(back).status == 200
    assert browser.get(back).status == 403  # again
    again = Browser().get(back, cookie=f"trivet_login={attempt}")
    assert again.data["code"] == "no-attempt"
    assert Browser().get(bent).status == 403


def test_a_code_of_another_attempt_is_of_no_use(server: str) -> None:
    """Whoever has stolen a code puts it into an attempt of their own: PKCE and nonce refuse it."""
    victim, thief = Browser(), Browser()
    stolen = consent(victim, victim.get(f"{server}/login").place, "77")
    own = consent(thief, thief.get(f"{server}/login").place, "78")
    code = parse_qs(urlsplit(stolen).query)["code"][0]
    state = parse_qs(urlsplit(own).query)["state"][0]
    bent = f"{server}/login/callback?{urlencode({'code': code, 'state': state})}"
    answer = thief.get(bent)
    assert (answer.status, answer.data["code"]) == (403, "bad-code")


@pytest.mark.parametrize("onward", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_nobody_is_led_elsewhere(server: str, onward: str) -> None:
    came = sign_in(Browser(), server, onward=onward)
    assert b"evil" not in came.body
    assert b'url=/session"' in came.body


def test_a_path_with_odd_letters_stays_text_on_the_page(server: str) -> None:
    came = sign_in(Browser(), server, onward='/runs?x="><script>alert(1)</script>')
    assert b"<script>" not in came.body
    assert "default-src 'none'" in came.headers["content-security-policy"]


def test_who_is_disabled_does_not_come_in_and_their_session_ends_at_once(
    server: str, folder: Path
) -> None:
    browser = Browser()
    sign_in(browser, server, "78")
    assert browser.get(f"{server}/session").data["name"] == "dora"
    trivet(folder, "users", "disable", "dora")
    assert browser.get(f"{server}/session").status == 401
    came = sign_in(Browser(), server, "78")
    assert (came.status, came.data["code"]) == (403, "disabled")
    trivet(folder, "users", "enable", "dora")
    assert browser.get(f"{server}/session").status == 401


def test_a_command_line_gets_a_token_of_its_own_by_way_of_the_browser(
    server: str, folder: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "trivet", "login", server, "--no-browser", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        shown = ""
        while "/login?" not in shown:
            shown = process.stderr.readline()
        browser = Browser()
        came = browser.get(consent(browser, browser.get(shown.strip()).place, "77"))
        assert came.status == 302
        assert re.match(r"http://127\.0\.0\.1:\d+/\?code=", came.place)
        assert "trivet_session" not in str(browser.cookies)
        wrong = came.place.replace("state=", "state=x")
        assert Browser().get(wrong).status == 404
        assert Browser().get(came.place).status == 200
        said = json.loads(process.stdout.read())
    assert (said["user"], process.wait()) == ("carla", 0)
    kept = Path(said["token_file"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = json.loads(kept.read_text())[server]
    assert Browser().get(f"{server}/session", authorization=f"Bearer {token}").status == 200
    code = parse_qs(urlsplit(came.place).query)["code"][0]
    body = json.dumps({"code": code, "verifier": "x" * 43}).encode()
    assert Browser().send("POST", f"{server}/login/token", body).status == 401
    trivet(folder, "logout", server, XDG_CONFIG_HOME=str(tmp_path))
    assert Browser().get(f"{server}/session", authorization=f"Bearer {token}").status == 401


def test_a_code_for_a_command_line_needs_the_verifier_of_that_command_line(server: str) -> None:
    browser = Browser()
    query = urlencode({"cli": free_port(), "challenge": "c" * 43, "state": "s" * 32})
    came = browser.get(consent(browser, browser.get(f"{server}/login?{query}").place, "77"))
    code = parse_qs(urlsplit(came.place).query)["code"][0]
    body = json.dumps({"code": code, "verifier": "guessed"}).encode()
    answer = Browser().send("POST", f"{server}/login/token", body)
    assert (answer.status, answer.data["code"]) == (401, "bad-token")
    for query in ("cli=80&challenge=x&state=y", "cli=evil.example&challenge=" + "c" * 43):
        assert Browser().get(f"{server}/login?{query}").status == 400


def test_a_password_gets_a_session_or_a_token(server: str, folder: Path, tmp_path: Path) -> None:
    trivet(folder, "users", "add", "anna")
    trivet(folder, "users", "password", "anna", line=PASSWORD + "\n")
    trivet(folder, "users", "role", "anna", "viewer")
    browser = Browser()
    wish = json.dumps({"user": "anna", "password": PASSWORD}).encode()
    assert browser.send("POST", f"{server}/session", wish, origin="http://evil").status == 403
    assert browser.send("POST", f"{server}/session", wish, origin=server).status == 200
    assert browser.get(f"{server}/session").data["role"] == "viewer"
    config = {"XDG_CONFIG_HOME": str(tmp_path)}
    trivet(folder, "login", server, "--user", "anna", line=PASSWORD + "\n", **config)
    token = json.loads((tmp_path / "trivet" / "tokens.json").read_text())[server]
    bearer = {"authorization": f"Bearer {token}"}
    assert Browser().get(f"{server}/session", **bearer).data["proof"] == "token"
    more = json.dumps({"name": "more"}).encode()
    assert Browser().send("POST", f"{server}/session/tokens", more, **bearer).status == 403
    trivet(folder, "users", "password", "anna", line="another " + PASSWORD + "\n")
    assert browser.get(f"{server}/session").status == 401


def test_guessing_is_slowed_down_and_signs_nobody_out(server: str, folder: Path) -> None:
    trivet(folder, "users", "add", "emil")
    trivet(folder, "users", "password", "emil", line=PASSWORD + "\n")
    browser = Browser()
    right = json.dumps({"user": "emil", "password": PASSWORD}).encode()
    assert browser.send("POST", f"{server}/session", right, origin=server).status == 200
    wrong = json.dumps({"user": "emil", "password": "wrong" * 4}).encode()
    answers = [Browser().send("POST", f"{server}/session", wrong) for _ in range(12)]
    assert [answer.status for answer in answers[:10]] == [401] * 10
    assert answers[-1].status == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert browser.get(f"{server}/session").status == 200
