"""Messages: written with what they are about, sent afterwards, each seen once by its key."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_string
from email.policy import default
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.workspace.receivers import Hook, mail_server, trickle, web_hook

from trivet.adapters.command import notifier as commanding
from trivet.adapters.command.notifier import CommandNotifier
from trivet.core.errors import Conflict, Invalid, NotFound, Unavailable
from trivet.core.ports import Message
from trivet.workspace import notifying
from trivet.workspace.delivery import deliver
from trivet.workspace.notify_file import read_notify_file
from trivet.workspace.notifying import (
    deliver_messages,
    messages,
    retry_message,
    try_notifier,
)
from trivet.workspace.project import make_project
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

CHILD = Path(__file__).with_name("notifying_child.py")
FLOW = """
from trivet import flow
@flow
def main(fail: bool = False):
    if fail:
        raise ValueError("no such column")
    return {"rows": 3}
"""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "trivet.toml").write_text('project = "left"\nflow = "pipeline:main"\ngate = ""\n')
    (tmp_path / "pipeline.py").write_text(FLOW)
    yield tmp_path
    sys.modules.pop("pipeline", None)


def tell(folder: Path, text: str) -> None:
    (folder / "notify.toml").write_text(text)


def run(ws: Workspace, **parameters: Any) -> None:
    try:
        ws.pipelines.run("pipeline:main", **parameters)
    except ValueError:
        assert parameters.get("fail")


def test_a_run_that_ends_is_told_once_with_its_figures_and_a_signature(
    folder: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_SECRET", "between us")
    tell(folder, f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\nsecret_env="TEAM_SECRET"\n')
    with open_workspace(folder) as ws:
        run(ws)
        assert [item.state for item in messages(ws)] == ["ready"]
        assert deliver_messages(ws, patience_s=10) == 1
        assert deliver_messages(ws, patience_s=10) == 0
        assert [item.state for item in messages(ws)] == ["done"]
    ((headers, body),) = hook.got
    told = json.loads(body)
    assert told["event"] == "finished"
    assert told["detail"]["metrics"] == {"rows": 3.0}
    assert headers["Idempotency-Key"] == told["key"]
    when, _, digest = headers["X-Trivet-Signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(b"between us", f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    assert digest == expected


def test_only_the_events_and_flows_that_were_asked_for_are_told(folder: Path, hook: Hook) -> None:
    tell(
        folder,
        f'[notifiers.bad]\nkind="webhook"\nurl="{hook.url}"\nevents=["failed"]\n'
        f'[notifiers.other]\nkind="webhook"\nurl="{hook.url}"\nflows=["another"]\n',
    )
    with open_workspace(folder) as ws:
        run(ws)
        run(ws, fail=True)
        deliver_messages(ws, patience_s=10)
    (told,) = hook.bodies
    assert told["event"] == "failed"
    assert "no such column" in told["text"]


def test_a_receiver_that_is_away_is_asked_again_later_and_one_that_refuses_is_given_up(
    folder: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "_FIRST_PAUSE_S", 0.01)
    tell(folder, f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\n')
    hook.answers = [503, 429, 204, 403]
    with open_workspace(folder) as ws:
        run(ws)
        until = time.monotonic() + 30
        while [item.state for item in messages(ws)] != ["done"]:
            assert time.monotonic() < until
            deliver_messages(ws, patience_s=10)
            time.sleep(0.02)
        assert len(hook.got) == 3
        assert len(set(hook.keys)) == 1
        run(ws)
        deliver_messages(ws, patience_s=10)
        newest = messages(ws)[0]
        assert (newest.state, newest.attempts) == ("failed", 1)
        assert "403" in newest.error
        key = newest.key
        retry_message(ws, key)
        with pytest.raises(Conflict):
            retry_message(ws, key)
        assert deliver_messages(ws, patience_s=10) == 1
        assert hook.keys[-1] == hook.keys[-2] == key
        with pytest.raises(NotFound):
            retry_message(ws, "nonsense")


def test_a_redirect_is_not_followed(folder: Path, hook: Hook) -> None:
    tell(folder, f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\n')
    hook.answers = [302]
    with open_workspace(folder) as ws, pytest.raises(Invalid, match="redirect"):
        try_notifier(ws, "team")
    assert len(hook.got) == 1


def test_a_chat_gets_text(folder: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", hook.url)
    tell(folder, '[notifiers.chat]\nkind="webhook"\nurl_env="CHAT_URL"\nbody="slack"\n')
    with open_workspace(folder) as ws:
        run(ws)
        deliver_messages(ws, patience_s=10)
    (told,) = hook.bodies
    assert set(told) == {"text"}
    assert "left: main succeeded" in told["text"]


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_process_that_is_killed_between_commit_and_delivery_loses_no_message(
    folder: Path, hook: Hook, when: str
) -> None:
    tell(folder, f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\n')
    with open_workspace(folder) as ws:
        if when == "while":
            run(ws)
    done = subprocess.run([sys.executable, CHILD, folder, when], check=False)
    assert done.returncode == -9
    assert len(hook.got) == (when == "while")
    with open_workspace(folder) as ws:
        until = time.monotonic() + 30
        while not deliver_messages(ws, patience_s=5):
            assert time.monotonic() < until
            time.sleep(0.1)
        (sent,) = messages(ws)
    assert sent.state == "done"
    assert set(hook.keys) == {sent.key}, "a receiver that honours keys sees it once"


def test_mail_arrives_with_the_key_and_no_name_makes_a_header_of_its_own(folder: Path) -> None:
    with mail_server() as box:
        tell(
            folder,
            f'[notifiers.mail]\nkind="smtp"\nhost="127.0.0.1"\nport={box.port}\nsecurity="none"\n'
            'sender="trivet@example.org"\nto=["ada@example.org"]\n',
        )
        with open_workspace(folder) as ws:
            run(ws, fail=True)
            assert deliver_messages(ws, patience_s=10) == 1
            (sent,) = messages(ws)
    (raw,) = box.mails
    mail = message_from_string(raw, policy=default)
    assert mail["Subject"] == "left: main failed"
    assert mail["Message-ID"] == f"<{sent.key}@trivet>"
    assert "no such column" in mail.get_content()


def test_a_recipient_whom_the_server_refuses_is_given_up(folder: Path) -> None:
    with mail_server() as box:
        tell(
            folder,
            f'[notifiers.mail]\nkind="smtp"\nhost="127.0.0.1"\nport={box.port}\nsecurity="none"\n'
            'sender="trivet@example.org"\nto=["nobody@example.org"]\n',
        )
        with open_workspace(folder) as ws, pytest.raises(Invalid, match="550"):
            try_notifier(ws, "mail")


def test_a_program_gets_the_message_and_one_that_fails_is_tried_again(folder: Path) -> None:
    script = folder / "note.py"
    script.write_text(
        "import os, sys\n"
        "open('told.json', 'w').write(sys.stdin.read())\n"
        "sys.exit('broken' if os.environ['TRIVET_NOTIFY_EVENT'] == 'failed' else 0)\n"
    )
    command = json.dumps([sys.executable, str(script)])
    tell(folder, f'[notifiers.own]\nkind="command"\ncommand={command}\n')
    with open_workspace(folder) as ws:
        run(ws)
        assert deliver_messages(ws, patience_s=30) == 1
        assert json.loads((folder / "told.json").read_text())["event"] == "finished"
        run(ws, fail=True)
        assert deliver_messages(ws, patience_s=30) == 0
        newest = messages(ws)[0]
    assert newest.state == "ready"
    assert newest.due is not None
    assert "broken" in newest.error


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[notifiers.x]\nkind="pigeon"\n', "pigeon"),
        ('[notifiers.x]\nkind="webhook"\n', "neither url and url_env"),
        ('[notifiers.x]\nkind="webhook"\nurl="https://a"\nurl_env="B"\n', "both"),
        ('[notifiers.x]\nkind="webhook"\nurl="https://a"\nevents=["started"]\n', "started"),
        ('[notifiers.x]\nkind="webhook"\nurl="https://a"\nretries=3\n', "retries"),
        ('[notifiers.x]\nkind="smtp"\nhost="h"\nsender="a@b"\nto=[]\n', "to"),
        ('[notifiers.x]\nkind="smtp"\nhost="h"\nsender="a@b"\nto=["c@d"]\nuser="u"\n', "password"),
        ('[notifiers.x]\nkind="webhook"\nurl="https://ada:pw@a/b"\n', "user or password"),
        ("[notifiers.x\n", "notify.toml"),
        ('[notifiers."Not a name"]\nkind="command"\ncommand=["true"]\n', "name"),
    ],
)
def test_a_file_that_cannot_be_says_what_is_wrong(tmp_path: Path, text: str, word: str) -> None:
    tell(tmp_path, text)
    with pytest.raises(Invalid) as caught:
        read_notify_file(tmp_path)
    assert word in caught.value.message
    assert caught.value.hint


def test_a_secret_that_is_not_set_is_named(folder: Path, hook: Hook) -> None:
    tell(folder, f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\nsecret_env="NOT_SET"\n')
    with open_workspace(folder) as ws:
        with pytest.raises(Invalid, match="NOT_SET"):
            try_notifier(ws, "team")
        with pytest.raises(NotFound):
            try_notifier(ws, "nobody")


def test_a_run_whose_notify_file_broke_meanwhile_still_ends(folder: Path) -> None:
    tell(folder, "broken")
    with open_workspace(folder) as ws:
        run(ws)
        assert ws.tracking.runs()[0].status == "succeeded"
        assert messages(ws) == ()


def test_a_model_that_passed_its_gate_and_waits_for_a_person_is_told(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    rows = "".join(f"{n / 400},{n % 7},{int(n > 200) ^ int(n % 11 == 0)}\n" for n in range(400))
    (tmp_path / "c.csv").write_text(f"a,b,churned\n{rows}")
    made = make_project("shop", "tabular", tmp_path / "c.csv", "churned", tmp_path)
    tell(
        Path(made.folder),
        f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\nevents=["approval"]\n',
    )
    with open_workspace(made.folder) as ws:
        delivered = deliver(ws, ws.pipelines.run(ws.settings.flow))
        assert delivered is not None
        assert delivered.model is not None
        deliver_messages(ws, patience_s=10)
    sys.modules.pop("pipeline", None)
    (told,) = hook.bodies
    assert told["event"] == "approval"
    assert told["detail"]["model"] == delivered.model.label


def test_a_message_that_nothing_can_send_is_given_up_and_holds_up_no_other(
    folder: Path, hook: Hook
) -> None:
    tell(
        folder,
        '[notifiers.odd]\nkind="webhook"\nurl="http://127.0.0.1:1/caf\u00e9"\n'
        f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\n',
    )
    with open_workspace(folder) as ws:
        run(ws)
        deliver_messages(ws, patience_s=10)
        states = {item.notifier: (item.state, item.error) for item in messages(ws)}
    assert states["team"] == ("done", "")
    assert states["odd"][0] == "failed"
    assert "UnicodeEncodeError" in states["odd"][1]
    assert len(hook.bodies) == 1


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("kind", ["head", "greeting"])
def test_a_receiver_that_sends_a_byte_now_and_then_is_left_at_the_time_limit(
    folder: Path, kind: str
) -> None:
    first, piece = {"head": (HEAD, b"X-A: b\r\n"), "greeting": (b"", b"2")}[kind]
    with trickle(first=first, piece=piece) as port:
        hook = f'kind="webhook"\nurl="http://127.0.0.1:{port}/"\n'
        mail = f'kind="smtp"\nhost="127.0.0.1"\nport={port}\nsecurity="none"\n'
        mail += 'sender="a@b.c"\nto=["d@e.f"]\n'
        which = hook if kind == "head" else mail
        tell(folder, f"[notifiers.slow]\ntimeout_s=0.5\n{which}")
        with open_workspace(folder) as ws, pytest.raises(Unavailable, match=r"not within 0\.5 s"):
            try_notifier(ws, "slow")


def test_the_body_of_an_answer_is_not_waited_for(folder: Path) -> None:
    with trickle(first=HEAD + b"Content-Length: 5000\r\n\r\n", piece=b"x") as port:
        url = f"http://127.0.0.1:{port}/"
        tell(folder, f'[notifiers.slow]\ntimeout_s=60\nkind="webhook"\nurl="{url}"\n')
        with open_workspace(folder) as ws:
            try_notifier(ws, "slow")


def test_one_slow_receiver_holds_up_no_message_but_its_own(folder: Path, hook: Hook) -> None:
    with trickle() as port:
        slow = f'kind="webhook"\nurl="http://127.0.0.1:{port}/"\n'
        tell(
            folder,
            f"[notifiers.a_slow]\ntimeout_s=60\n{slow}"
            f'[notifiers.team]\nkind="webhook"\nurl="{hook.url}"\n',
        )
        with open_workspace(folder) as ws:
            for _ in range(3):
                run(ws)
            assert deliver_messages(ws, patience_s=6) == 3
            stood = sorted((sent.notifier, sent.state, sent.attempts) for sent in messages(ws))
    assert stood[3:] == [("team", "done", 1)] * 3
    assert stood[:3] == [("a_slow", "ready", 0)] * 2 + [("a_slow", "ready", 1)]
    assert len(hook.got) == 3


def test_a_message_whose_thread_never_comes_back_is_left_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    class Stuck:
        def send(self, message: Message, *, timeout_s: float) -> None:
            assert (message.event, timeout_s) == ("finished", 0.1)
            over.wait()

    def stuck(*_: object) -> Stuck:
        return Stuck()

    monkeypatch.setattr(notifying, "_notifier", stuck)
    tell(folder, '[notifiers.own]\nkind="command"\ntimeout_s=0.1\ncommand=["true"]\n')
    try:
        with open_workspace(folder) as ws:
            run(ws)
            assert deliver_messages(ws, patience_s=None) == 0
            (sent,) = messages(ws)
        assert sent.state == "ready"
        assert "did not answer within 0.1 s" in sent.error
    finally:
        over.set()


def program(folder: Path, text: str, timeout_s: float = 30) -> None:
    (folder / "tell.sh").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "tell.sh").chmod(0o755)
    tell(
        folder,
        f'[notifiers.own]\nkind="command"\ntimeout_s={timeout_s}\ncommand=["./tell.sh"]\n',
    )


def test_a_program_that_leaves_something_running_has_taken_the_message(folder: Path) -> None:
    program(folder, "cat >/dev/null\nsleep 600 &\necho $! > left")
    with open_workspace(folder) as ws:
        try_notifier(ws, "own")
    os.kill(int((folder / "left").read_text()), signal.SIGKILL)  # it was there still


def test_what_a_program_started_is_killed_with_it_at_the_time_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder, "sleep 600 &\necho $! > new\nmv new left\nwait", timeout_s=30)
    clock = SimpleNamespace(monotonic=lambda: 60.0 * (folder / "left").exists(), sleep=time.sleep)
    monkeypatch.setattr(commanding, "time", clock)  # the time is over once the program waits
    with open_workspace(folder) as ws, pytest.raises(Unavailable, match="longer than 30 s"):
        try_notifier(ws, "own")
    until = time.monotonic() + 30
    while is_alive(int((folder / "left").read_text())):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()[:1] not in {"", "Z"}


def test_a_program_may_print_without_end_and_the_end_of_it_is_told(folder: Path) -> None:
    program(folder, "yes a long line of output | head -c 50000000\necho the last word >&2\nexit 3")
    with open_workspace(folder) as ws, pytest.raises(Unavailable) as caught:
        try_notifier(ws, "own")
    assert "exit code 3" in caught.value.message
    assert caught.value.message.endswith("the last word")
    assert len(caught.value.message) < 700


def test_a_program_may_read_a_long_message_or_leave_it(folder: Path) -> None:
    message = Message(
        key="k",
        event="test",
        project="left",
        title="t",
        text="x" * 1_000_000,
        time=datetime.now(UTC),
    )
    notifier = CommandNotifier(["./tell.sh"], folder)
    program(folder, "exit 0")
    notifier.send(message, timeout_s=30)
    program(folder, "wc -c > size")
    notifier.send(message, timeout_s=30)
    assert int((folder / "size").read_text()) > 1_000_000
