"""`trivet up`: the daemon, and the parts it supervises."""

import sys
import time
from argparse import Namespace
from pathlib import Path

from trivet.access.tokens import read_or_create_token
from trivet.cli.command import Answer, Argument, Command
from trivet.http.guards import loopback_policy
from trivet.web.app import build_app
from trivet.workspace import wiring
from trivet.workspace.parts import PARTS, Doorkeeper, bind
from trivet.workspace.settings import FOLDER, Settings, find_project, read_settings
from trivet.workspace.supervision import Part, Supervisor, part_of
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def _up(options: Namespace) -> Answer:
    if options.part:
        with open_workspace(options.project, actor=f"trivet-{options.part}") as ws:
            _ALL[options.part](ws)
        return Answer({"part": options.part}, "")
    folder = find_project(Path(options.project).resolve())
    settings = read_settings(folder)
    with open_workspace(folder):
        # Opening makes the stores and migrates them, once, before the parts start together.
        token = read_or_create_token(folder / FOLDER / "token")
    parts = [part_of(name, folder) for name in ("api", "serving", "watcher")]
    parts += [
        Part(f"runner {n + 1}", part_of("runner", folder).arguments, folder)
        for n in range(settings.up.runners)
    ]
    supervisor = Supervisor(parts, folder / FOLDER, _tell)
    if not options.json:
        supervisor.run(lambda: print(_greeting(settings, folder, token), flush=True))
        return Answer({}, "stopped")
    supervisor.run()
    return Answer({"stopped": True}, "stopped")


def _greeting(settings: Settings, folder: Path, token: str) -> str:
    serving = f"http://127.0.0.1:{settings.up.serving_port}"
    api = f"http://127.0.0.1:{settings.up.port}"
    return "\n".join(
        [
            f"project  {settings.project}  ({folder})",
            f"API      {api}",
            f"serving  {serving}",
            f"token    {token}   (also in {folder / FOLDER / 'token'})",
            "",
            "try",
            f'  curl -s -H "Authorization: Bearer {token}" {serving}/endpoints',
            "",
            "Ctrl-C stops everything.",
        ]
    )


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _run_api(workspace: Workspace) -> None:
    listener = bind(workspace.settings.up.port)
    policy = loopback_policy(
        listener.getsockname()[1], max_body_bytes=workspace.settings.serving.max_body_mib << 20
    )
    keeper = Doorkeeper(workspace)
    app = build_app(workspace, policy=policy, principal_of=keeper.principal_of)
    wiring.run_server(app, listener)


_ALL = {"api": _run_api, **PARTS}

up = Command(
    "Start API, serving, runners and watcher, supervised, on loopback, behind one token.",
    "trivet up",
    _up,
    (Argument("--part", "run one part alone (the daemon does this)", {"choices": tuple(_ALL)}),),
)
