"""`trivet logs`: what the steps of a run printed and logged."""

import re
import time
from argparse import Namespace
from datetime import UTC, datetime, timedelta

from trivet.cli.choosing import run_of
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import padded, width_of
from trivet.core.clock import to_micros
from trivet.core.errors import Invalid, NotFound
from trivet.data.naming import suggest
from trivet.pipelines.logs.lines import Line, Place
from trivet.tracking.facts import Run
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

_LOOK_S = 0.3
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _logs(options: Namespace) -> Answer:
    if options.follow and options.json:
        raise Invalid(
            "--follow and --json are given; expected one of them",
            code="bad-arguments",
            hint="Follow as text, or ask for JSON when the run is over.",
        )
    since = _since(options.since, datetime.now(UTC)) if options.since else 0
    with open_workspace(options.project) as ws:
        run = run_of(ws, options.run)
        if options.follow:
            return _follow(ws, run.id, options.step, since)
        lines = [line for _, line in ws.pipelines.lines(run.id) if _wanted(line, options, since)]
        if options.step and not lines:
            _check_step(ws, run, options.step)
    named = max((width_of(line.step) for line in lines), default=0)
    text = "\n".join(shown_line(line, named) for line in lines)
    data = [
        {"time": line.time, "step": line.step or None, "source": line.source, "text": line.text}
        for line in lines
    ]
    return Answer(data, text or f"run {run.id} printed nothing{_of_step(options.step)}")


def _check_step(ws: Workspace, run: Run, step: str) -> None:
    """Refuse a step that a run which is over never called; one under way may call it yet."""
    ended = (*ws.pipelines.steps(run.id), *ws.pipelines.failures(run.id))
    known = sorted({one.step for one in ended})
    if run.finished and step not in known:
        raise NotFound(
            f"run {run.id} has no step {step!r}", code="no-step", hint=suggest(step, known)
        )


def _wanted(line: Line, options: Namespace, since: int) -> bool:
    return line.micros >= since and options.step in {None, line.step}


def _of_step(step: str | None) -> str:
    return f" in step {step!r}" if step else ""


def _follow(ws: Workspace, run_id: str, step: str | None, since: int) -> Answer:
    place: Place | None = None
    named = 0
    while True:
        ws.pipelines.sweep()  # a run whose process was killed has no other end
        # Asked before the lines are read: what was printed until the end is read once more.
        run = ws.tracking.get(run_id)
        for behind, line in ws.pipelines.lines(run_id, place):
            place = behind
            if line.micros >= since and step in {None, line.step}:
                named = max(named, width_of(line.step))
                print(shown_line(line, named), flush=True)
        if run.status != "running":
            seconds = run.finished.seconds if run.finished else 0.0
            ended = f"run {run.id} {run.status} after {seconds:.2f} s"
            return Answer({"run": run.id, "status": run.status}, ended)
        time.sleep(_LOOK_S)


def shown_line(line: Line, named: int) -> str:
    """Lay out one line for people, in local time; `named` is how wide the steps' names are."""
    mark = {"err": "!", "log": ":"}.get(line.source, "|")
    return f"{line.time.astimezone():%H:%M:%S} {padded(line.step or '-', named)} {mark} {line.text}"


def _since(text: str, now: datetime) -> int:
    """Read `10m`, `2h`, or a moment in ISO 8601; return microseconds since 1970."""
    short = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if short:
        return to_micros(now - timedelta(seconds=float(short[1]) * _UNITS[short[2]]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            f"--since {text!r} is no time; expected a length or a moment",
            code="bad-arguments",
            hint="For example 10m, 2h, 1d or 2025-01-31T08:00.",
        ) from error
    return to_micros(moment.astimezone(UTC))


logs = Command(
    "Show what the steps of a run printed and logged; follow one that is under way.",
    "trivet logs last train -f",
    _logs,
    (
        Argument(
            "run",
            "the run: its identifier, an end of it, or `last` (the default)",
            {"nargs": "?", "default": "last"},
        ),
        Argument("step", "only this step's lines", {"nargs": "?"}),
        Argument("--follow", "go on until the run ends", {"action": "store_true"}, "-f"),
        Argument("--since", "only from then on: 10m, 2h, or a moment", {"metavar": "WHEN"}),
    ),
)
