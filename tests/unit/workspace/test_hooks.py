"""Web hooks that were registered: told by whoever works the outbox, and nobody else reached."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.workspace.receivers import Hook, trickle, web_hook

from trivet.adapters.webhook import posting
from trivet.adapters.webhook.posting import GuardedPoster
from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid, Unavailable
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.webhooks.facts import WebhookChange
from trivet.tracking.webhooks.service import Webhooks
from trivet.workspace import wiring
from trivet.workspace.notifying import deliver_messages, messages
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

HERE = ["127.0.0.0/8"]


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as found:
        yield found


def project(folder: Path, networks: str = "") -> Path:
    text = f'project = "left"\ngate = ""\n[webhooks]\nnetworks = [{networks}]\n'
    (folder / "trivet.toml").write_text(text)
    return folder


def begin(workspace: Workspace) -> None:
    stores, scope = workspace.stores, workspace.scope
    experiments = Experiments(stores, scope, SystemClock())
    ReportedRuns(stores, scope, experiments, Metrics(stores)).open(Opening(name="first"))


def register(workspace: Workspace, url: str) -> None:
    poster = wiring.poster(workspace.settings.webhooks.networks)
    hooks = Webhooks(workspace.stores, workspace.scope, SystemClock(), poster)
    hooks.make(WebhookChange(name="team", url=url, events=("run.created",), secret="s"))


def test_a_run_is_told_once_with_a_key_that_stays_when_it_is_told_again(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet.workspace.notifying._FIRST_PAUSE_S", 0.0)
    hook.answers = [503]
    with open_workspace(project(tmp_path, '"127.0.0.0/8"')) as workspace:
        register(workspace, hook.url)
        begin(workspace)
        troubles: list[str] = []
        while deliver_messages(workspace, patience_s=None, on_trouble=troubles.append) == 0:
            assert len(troubles) < 3
        assert deliver_messages(workspace, patience_s=None) == 0
        (sent,) = messages(workspace)
    assert "answered 503" in troubles[0]
    assert (sent.state, sent.event, sent.title) == ("done", "run.created", "left: run.created")
    first, second = (headers["X-MLflow-Delivery-Id"] for headers, _ in hook.got)
    assert first == second == sent.key
    assert hook.bodies[1]["data"]["run_name"] == "first"


def test_an_address_that_may_not_be_reached_by_then_is_given_up(tmp_path: Path, hook: Hook) -> None:
    with open_workspace(project(tmp_path, '"127.0.0.0/8"')) as workspace:
        register(workspace, hook.url)
        begin(workspace)
    with open_workspace(project(tmp_path)) as workspace:
        deliver_messages(workspace, patience_s=None)
        (sent,) = messages(workspace)
    assert (sent.state, hook.got) == ("failed", [])
    assert "no public address" in sent.error


def test_a_network_that_is_none_is_a_broken_setting(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"webhooks\.networks"):
        open_workspace(project(tmp_path, '"everywhere"'))


def test_what_is_posted_is_answered(hook: Hook) -> None:
    posted = GuardedPoster(HERE).post(f"{hook.url}a?b=c", b"{}", {"X-K": "v"}, timeout_s=10)
    assert (posted.status, posted.body) == (204, b"")
    headers, body = hook.got[0]
    assert (headers["X-K"], body) == ("v", b"{}")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "127.1",
        "0.0.0.0",  # noqa: S104  # nothing is bound to it
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "224.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
    ],
)
def test_nothing_inside_is_reached_however_it_is_written(host: str, hook: Hook) -> None:
    port = hook.url.rpartition(":")[2].rstrip("/")
    with pytest.raises(Invalid, match="no public address"):
        GuardedPoster().post(f"http://{host}:{port}/", b"{}", {}, timeout_s=5)
    assert hook.got == []


def test_a_name_that_leads_inside_is_seen_when_it_is_used(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(hook.url.rpartition(":")[2].rstrip("/"))
    place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(posting.socket, "getaddrinfo", lambda *_, **__: [place])
    url = f"http://rebound.example.com:{port}/"
    GuardedPoster().check(url)  # nothing is looked up yet
    with pytest.raises(Invalid, match=r"rebound\.example\.com: it leads to no public address"):
        GuardedPoster().post(url, b"{}", {}, timeout_s=5)
    assert hook.got == []
    assert GuardedPoster(HERE).post(url, b"{}", {}, timeout_s=5).status == 204


def test_networks_are_allowed_one_by_one() -> None:
    GuardedPoster(["10.1.0.0/16", "fd00::/8"]).check("http://10.1.2.3/")
    GuardedPoster(["10.1.0.0/16", "fd00::/8"]).check("http://[fd00::1]/")
    GuardedPoster().check("https://93.184.216.34/")
    with pytest.raises(Invalid, match=r"10\.2\.0\.1"):
        GuardedPoster(["10.1.0.0/16"]).check("http://10.2.0.1/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/x",
        "file:///etc/passwd",
        "gopher://example.com",
        "http://",
        "http:///x",
        "http://a:99999/",
        "http://[::1",
        "http://a@b/",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://exämple.com/",
        "http://example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="webhook URL"):
        GuardedPoster(HERE).check(url)


def test_a_host_that_is_no_name_is_refused() -> None:
    with pytest.raises(Invalid, match="no name"):
        GuardedPoster().post(f"http://{'a' * 70}.com/", b"{}", {}, timeout_s=5)


def test_a_receiver_that_trickles_is_left_in_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    for first in (head, b""):
        with (
            trickle(first=first) as port,
            pytest.raises(Unavailable, match=r"not within 0\.3 s"),
        ):
            GuardedPoster(HERE).post(f"http://127.0.0.1:{port}/", b"{}", {}, timeout_s=0.3)


def test_hands_that_are_never_shaken_are_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(server.accept()[0]))
        thread.start()
        port = server.getsockname()[1]
        with pytest.raises(Unavailable):
            GuardedPoster(HERE).post(f"https://127.0.0.1:{port}/", b"{}", {}, timeout_s=0.3)
        thread.join()
        taken[0].close()


def test_nobody_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="did not answer"):
        GuardedPoster(HERE).post(f"http://127.0.0.1:{port}/", b"{}", {}, timeout_s=5)


def test_a_proxy_in_the_environment_is_not_used(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, hook.url)
    with pytest.raises(Invalid, match="no public address"):
        GuardedPoster().post("http://10.0.0.1/", b"{}", {}, timeout_s=5)
    assert hook.got == []
