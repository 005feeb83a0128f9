"""`trivet tracking`: its server, and notes."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.cli.choosing import any_run_of
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import cut, duration, fields, size, to_json
from trivet.core.errors import Unsupported
from trivet.tracking.facts import Run
from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.facts import ReportedRun, RunObserved
from trivet.tracking.shelves import FolderItem
from trivet.web.tracking_app import build_tracking_app
from trivet.workspace import wiring
from trivet.workspace.ending import leave_on_sigterm
from trivet.workspace.parts import begin_merging, begin_sending, bind, door_policy
from trivet.workspace.settings import name_project
from trivet.workspace.workspace import open as open_workspace

_WIDE = 200


def _note(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        subject = any_run_of(ws, options.subject)
        ws.tracking.note(subject, options.text)
    return Answer({"subject": subject, "text": options.text}, "noted")


def _serve(options: Namespace) -> Answer:
    leave_on_sigterm()
    if options.trust_own_user and sys.platform != "linux":
        raise Unsupported(
            "only Linux tells whose program is at the other end of a connection",
            code="no-peers",
            hint="Leave out --trust-own-user, and set the token as the server prints it.",
        )
    made = name_project(Path(options.project).resolve())
    if made is not None:
        _tell(f"made {made}")
    with open_workspace(options.project) as ws:
        listener = bind(ws.settings.up.port if options.port is None else options.port)
        is_own = wiring.is_own_program if options.trust_own_user else None
        policy = msgspec.structs.replace(door_policy(ws, listener), is_own=is_own)
        app = build_tracking_app(ws, policy=policy)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        token = ws.opened.folder / "token"
        if options.json:
            print(to_json({"url": url, "token_file": str(token)}), flush=True)
        else:
            print(_how_to_report(url, token, needs_token=is_own is None), flush=True)
        threads = [begin(ws, _tell) for begin in (begin_sending, begin_merging)]
        try:
            wiring.run_server(app, listener)
        finally:
            for over in threads:
                over.set()
    return Answer({"stopped": True}, "stopped")


def _how_to_report(url: str, token: Path, *, needs_token: bool) -> str:
    secret = f'"$(cat {shlex.quote(str(token))})"'
    lines = [f"export TRIVET_URL={url}", f"export MLFLOW_TRACKING_URI={url}"]
    if needs_token:
        lines += [f"export TRIVET_TOKEN={secret}", f"export MLFLOW_TRACKING_TOKEN={secret}"]
    lines += [
        "",
        "`trivet.open()` reports here; MLflow's clients run as they are. Ctrl-C stops.",
    ]
    return "\n".join(lines)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def describe_run(run: Run) -> str:
    """Describe a run for people."""
    code, env = run.started.code, run.started.environment
    state = code.commit or "not in a Git repository"
    pairs: list[tuple[str, object]] = [
        ("run", run.id),
        ("flow", run.started.name),
        ("status", run.status),
        ("code", f"{state}{' with uncommitted changes' if code.dirty else ''}"),
        ("sources", code.tree),
        ("environment", f"Python {env.python}, {env.packages} distributions, {env.platform}"),
        ("data", ", ".join(run.started.data) or "none"),
        ("assets", ", ".join(run.started.assets) or "none"),
        ("asked by", run.started.asked_by or "a person"),
    ]
    pairs += [(f"parameter {name}", value) for name, value in run.started.parameters.items()]
    if run.finished:
        pairs += [(f"metric {name}", value) for name, value in run.finished.metrics.items()]
        pairs += [
            (f"output {o.name}", f"{o.format}, {size(o.size_bytes)}") for o in run.finished.outputs
        ]
        if run.finished.error:
            pairs.append(("error", run.finished.error))
    return fields(pairs)


def describe_reported(
    found: FoundRun, run: ReportedRun, seen: RunObserved | None, files: Sequence[FolderItem]
) -> str:
    """Describe a run that a program or a client reported, for people."""
    pairs: list[tuple[str, object]] = [
        ("run", run.id),
        ("name", run.name),
        ("experiment", found.experiment),
        ("status", run.status),
        ("user", run.user),
        ("took", None if found.seconds is None else duration(found.seconds)),
    ]
    if seen is not None:
        env = seen.environment
        state = seen.code.commit or "not in a Git repository"
        pairs += [
            ("code", f"{state}{' with uncommitted changes' if seen.code.dirty else ''}"),
            ("sources", seen.code.tree),
            ("environment", f"Python {env.python}, {env.packages} distributions, {env.platform}"),
        ]
    pairs += [(f"parameter {name}", value) for name, value in sorted(run.parameters.items())]
    pairs += [
        (f"metric {name}", f"{item.value:.6g} at step {item.step}")
        for name, item in sorted(run.metrics.items())
    ]
    pairs += [(f"tag {name}", cut(value, _WIDE)) for name, value in sorted(run.tags.items())]
    pairs += [(f"data {item.name}", f"{item.digest} {item.context}") for item in run.inputs]
    pairs += [
        (f"file {item.name}", "a folder" if item.size_bytes is None else size(item.size_bytes))
        for item in files
    ]
    return fields(pairs)


VERBS: Group = {
    "serve": Command(
        "Serve tracking alone, to MLflow's clients and Trivet's, on loopback, behind one token.",
        "trivet tracking serve --port 5000",
        _serve,
        (
            Argument(
                "--port",
                "the port; 0 takes any that is free, without it the API's of trivet.toml",
                {"type": int},
            ),
            Argument(
                "--trust-own-user",
                "programs of your own user on this machine need no token (Linux)",
                {"action": "store_true"},
            ),
        ),
    ),
    "note": Command(
        "Write a note about any fact.",
        'trivet tracking note 01a20078b2f679378f03478a29de8f60 "stopped too early"',
        _note,
        (
            Argument("subject", "the fact's identifier, or a run's name, or `last`"),
            Argument("text", "the note"),
        ),
    ),
}
