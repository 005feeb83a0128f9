"""`trivet up`: the daemon, and the parts it supervises."""

import argparse
import json
import shlex
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import msgspec

from trivet.access.tokens import read_or_create_token
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import to_json
from trivet.web.app import build_app
from trivet.workspace import wiring
from trivet.workspace.ending import end_with_parent, leave_on_sigterm
from trivet.workspace.example import Example, example_of
from trivet.workspace.parts import bind, door_policy, run_runner, run_serving, run_watcher
from trivet.workspace.readiness import Asked, why_not_ready
from trivet.workspace.settings import FOLDER, Settings, find_project, read_settings
from trivet.workspace.supervision import Part, Supervisor, only_supervisor, part_of
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

_PATIENCE_S = 30.0
_PORT_PATIENCE_S = 3.0


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a person or program needs to know about a daemon that is ready."""

    project: str
    folder: str
    api: str
    serving: str
    token_file: str
    model: str | None
    """The champion of the project's endpoint; None when nothing is released."""
    curl: str
    """A command line that works when pasted."""


def _up(options: Namespace) -> Answer:
    if options.part:
        return _part(options)
    folder = find_project(Path(options.project).resolve())
    settings = read_settings(folder)
    with open_workspace(folder) as ws:
        # Opening makes the stores and migrates them, once, before the parts start together.
        token = read_or_create_token(folder / FOLDER / "token")
        example = example_of(ws)
    with (
        only_supervisor(folder / FOLDER),
        bind(settings.up.port, patience_s=_PORT_PATIENCE_S) as api,
        bind(settings.up.serving_port, patience_s=_PORT_PATIENCE_S) as serving,
    ):
        ports = api.getsockname()[1], serving.getsockname()[1]
        welcome = _Welcome(
            ports,
            lambda: _greet(_greeting(settings, folder, ports, example), token, options.json),
        )
        Supervisor(_parts(settings, folder, api, serving), _tell, welcome.look).run()
    return Answer({"stopped": True}, "stopped")


def _parts(
    settings: Settings, folder: Path, api: socket.socket, serving: socket.socket
) -> list[Part]:
    sockets = {"api": api.fileno(), "serving": serving.fileno()}
    parts = [
        part_of(name, folder, "--socket", str(number), handed_down=[number])
        for name, number in sockets.items()
    ]
    parts.append(part_of("watcher", folder))
    return parts + [part_of(f"runner {n + 1}", folder) for n in range(settings.up.runners)]


class _Welcome:
    """Greets once both servers answer; says what is missing when that takes too long."""

    def __init__(self, ports: tuple[int, int], greet: Callable[[], None]) -> None:
        self._waiting = [
            Asked(name="the API", port=ports[0], path="/health"),
            Asked(name="serving", port=ports[1], path="/v2/health/ready"),
        ]
        self._greet = greet
        self._until = time.monotonic() + _PATIENCE_S
        self._is_late = False

    def look(self) -> None:
        if not self._waiting:
            return
        troubles = {server.name: why_not_ready(server) for server in self._waiting}
        self._waiting = [server for server in self._waiting if troubles[server.name]]
        if not self._waiting:
            self._greet()
        elif not self._is_late and time.monotonic() > self._until:
            self._is_late = True
            for server in self._waiting:
                _tell(f"after {_PATIENCE_S:.0f} s {troubles[server.name]}")
            _tell("the reason stands above; `trivet doctor` looks for it. Trying on.")


def _greeting(
    settings: Settings, folder: Path, ports: tuple[int, int], example: Example | None
) -> Greeting:
    api, serving = (f"http://127.0.0.1:{port}" for port in ports)
    token_file = folder / FOLDER / "token"
    return Greeting(
        project=settings.project,
        folder=str(folder),
        api=api,
        serving=serving,
        token_file=str(token_file),
        model=example.model if example else None,
        curl=_curl(serving, token_file, example),
    )


def _curl(serving: str, token_file: Path, example: Example | None) -> str:
    # The token is read by the shell: a pasted line must not leave it in the shell's history.
    line = f'curl -s -H "Authorization: Bearer $(cat {shlex.quote(str(token_file))})" {serving}'
    if example is None:
        return f"{line}/endpoints"
    body = json.dumps({"rows": [example.row]}, ensure_ascii=False)
    return f"{line}/predict/{example.endpoint} -d {shlex.quote(body)}"


def _greet(greeting: Greeting, token: str, as_json: bool) -> None:  # noqa: FBT001  # an option
    if as_json:
        print(to_json(greeting), flush=True)
        return
    serves = greeting.model or "nothing yet: `trivet run`, then `trivet release`"
    # Into a file or a pipe it does not go: logs are read by more people than terminals.
    shown = f"{token}  (also in" if sys.stdout.isatty() else "(in"
    lines = [
        f"project  {greeting.project}  ({greeting.folder})",
        f"API      {greeting.api}",
        f"serving  {greeting.serving}  {serves}",
        f"token    {shown} {greeting.token_file})",
        "",
        "try",
        f"  {greeting.curl}",
    ]
    if greeting.model:
        lines.append("  trivet why PREDICTION        # with the id that it answered")
    print("\n".join([*lines, "", "Ctrl-C stops everything."]), flush=True)


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _part(options: Namespace) -> Answer:
    leave_on_sigterm()
    if options.parent:
        end_with_parent(options.parent)
    listener = None if options.socket is None else socket.socket(fileno=options.socket)
    with open_workspace(options.project, actor=f"trivet-{options.part}") as ws:
        match options.part:
            case "api":
                _run_api(ws, listener)
            case "serving":
                run_serving(ws, listener)
            case "watcher":
                run_watcher(ws, _tell)
            case _:
                run_runner(ws, _tell, **({"queues": options.queue} if options.queue else {}))
    return Answer({"part": options.part}, "")


def _run_api(workspace: Workspace, listener: socket.socket | None) -> None:
    own = listener or bind(workspace.settings.up.port)
    policy = door_policy(workspace, own)
    wiring.run_server(build_app(workspace, policy=policy), own)


_PARTS = ("api", "serving", "watcher", "runner")

up = Command(
    "Start API, serving, runners and watcher, supervised, on loopback, behind one token.",
    "trivet up",
    _up,
    (
        Argument("--part", "run one part alone (the daemon does this)", {"choices": _PARTS}),
        Argument("--queue", argparse.SUPPRESS, {"action": "append"}),
        Argument("--socket", argparse.SUPPRESS, {"type": int}),
        Argument("--parent", argparse.SUPPRESS, {"type": int}),
    ),
)
