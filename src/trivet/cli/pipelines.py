"""`trivet run` and `trivet pipelines`: flows and steps."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Generator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import NoReturn, get_args

from trivet.cli.choosing import flow_named, run_of
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.errors import EXIT_CODES, TERMINATED
from trivet.cli.models import findings
from trivet.cli.output import table
from trivet.cli.progress import shown
from trivet.cli.tracking import describe_run
from trivet.core.errors import Invalid, NotFound, Refused, TrivetError
from trivet.core.ports import TaskState
from trivet.core.tasks import fenced
from trivet.data.naming import suggest
from trivet.pipelines.failures import Terminated, describe_failure
from trivet.pipelines.logs.masking import without_secrets
from trivet.pipelines.running import OnEvent
from trivet.tracking.facts import Run
from trivet.triggers.backfills import why_failed
from trivet.workspace.delivery import Delivered, check_delivery, deliver
from trivet.workspace.ending import end_with_parent, leave_on_sigterm
from trivet.workspace.notify_file import read_notify_file
from trivet.workspace.notifying import deliver_messages
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

_MESSAGES_S = 5.0
"""How long a run's end waits for the receivers of its messages."""


def _run(options: Namespace) -> Answer:
    leave_on_sigterm()
    if options.parent:
        end_with_parent(options.parent)
    with open_workspace(options.project) as ws:
        if options.plan:
            return _plan(ws, options)
        if not options.no_delivery:
            check_delivery(ws)
        with _messages_sent(ws):
            run = _run_flow(ws, options)
            delivered = None if options.no_delivery else deliver(ws, run)
    return _answer(run, delivered)


def _run_flow(ws: Workspace, options: Namespace) -> Run:
    try:
        # Whoever asks for JSON reads it from stdout: what steps print goes beside it.
        beside = redirect_stdout(sys.stderr) if options.json else nullcontext()
        with beside, shown(is_silent=options.json) as show:
            run = _execute(ws, options, show)
    except Terminated:
        _warn("told to end; the run is recorded as cancelled, and the next one goes on from it")
        sys.exit(TERMINATED)
    except TrivetError:
        raise
    except (Exception, SystemExit) as error:  # the edge where a user's own code fails
        if options.traceback:
            raise
        _fail(error, ws.folder)
    _check_again(options.again, {step.step for step in ws.pipelines.steps(run.id)})
    return run


def _check_again(again: Sequence[str], called: AbstractSet[str]) -> None:
    for name in again:
        if name not in called:
            _warn(f"--again {name}: the run called no such step. {suggest(name, sorted(called))}")


@contextmanager
def _messages_sent(ws: Workspace) -> Generator[None]:
    """Send the messages about what a `with` block did; for a moment, the daemon does the rest."""
    has_notifiers = bool(read_notify_file(ws.folder).notifiers)
    try:
        yield
    finally:
        if has_notifiers and not isinstance(sys.exception(), KeyboardInterrupt):
            try:
                deliver_messages(ws, patience_s=_MESSAGES_S, on_trouble=_warn)
            except TrivetError as error:
                _warn(error.message)


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _execute(ws: Workspace, options: Namespace, show: OnEvent) -> Run:
    if options.task:
        task = ws.stores.journal.task(options.task)
        if task is not None and options.epoch not in {None, task.epoch}:
            raise fenced(task.key)
        if task is None:
            raise NotFound(
                f"no task {options.task!r}",
                code="no-task",
                hint="Runs are asked for by triggers: `trivet triggers firings` lists them.",
            )
        return ws.pipelines.execute(task, on_event=show)
    return ws.pipelines.run(
        flow_named(ws, options.flow),
        again=options.again,
        on_event=show,
        **parse_parameters(options.set),
    )


def _plan(ws: Workspace, options: Namespace) -> Answer:
    plan = ws.pipelines.plan(flow_named(ws, options.flow), **parse_parameters(options.set))
    rows = [(item.step, item.action, "; ".join(item.reasons)) for item in plan.steps]
    text = table(("step", "would", "because"), rows)
    if not plan.complete:
        text += "\nfurther steps depend on values that nobody has yet"
    if plan.limits:
        text += "\n\nnot covered by the steps' keys (remedy: depends= or version=):"
        text += "".join(f"\n  {limit}" for limit in plan.limits)
    return Answer(plan, text)


def _answer(run: Run, delivered: Delivered | None) -> Answer:
    lines = [describe_run(run)]
    if delivered is None:
        return Answer({"run": run, "delivered": None}, lines[0])
    verdict = delivered.verdict
    lines += ["", f"gate {verdict.gate}: {'passed' if verdict.passed else 'REFUSED'}"]
    lines += [findings(verdict.findings), ""]
    if delivered.model:
        lines.append(f"{delivered.model.label}  {delivered.package}")
    lines.append(delivered.note)
    code = 0 if verdict.passed else EXIT_CODES[Refused]
    return Answer({"run": run, "delivered": delivered}, "\n".join(lines), code)


def _fail(error: BaseException, folder: Path) -> NoReturn:
    """Say what went wrong in the user's own lines, without those of the libraries below."""
    notes: tuple[str, ...] = getattr(error, "__notes__", ())
    said = "\n  ".join([f"the run failed: {_what_failed(error, folder)}", *notes])
    raise TrivetError(
        without_secrets(said),  # also on a terminal: what is printed there is kept by others
        code="run-failed",
        hint="Mend it and run again; steps that were done are remembered. `--traceback` shows "
        "every line behind it.",
    ) from error


def _what_failed(error: BaseException, folder: Path) -> str:
    if isinstance(error, SyntaxError):
        text = (error.text or "").strip()
        return f"SyntaxError: {error.msg}\n  {error.filename}:{error.lineno}: {text}"
    return describe_failure(error, None, folder).removeprefix("the flow: ")


_TAKEN = frozenset({"again", "asked_by", "on_event", "request"})


def parse_parameters(pairs: list[str]) -> dict[str, str]:
    """Read parameters of a flow, each written as name=value.

    Raises:
        Invalid: One has no value, or a name that no parameter may have.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise Invalid(
                f"parameter {pair!r} has no value; expected name=value",
                code="bad-parameter",
                hint="For example --set rounds=200.",
            )
        if name in _TAKEN:
            raise Invalid(
                f"{name!r} is no parameter of a flow", code="bad-parameter", hint="Rename it."
            )
        found[name] = value
    return found


def _steps(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        steps = ws.pipelines.steps(run_of(ws, options.run).id)
    rows = [(s.step, s.status, s.seconds, s.key[:12]) for s in steps]
    return Answer(steps, table(("step", "status", "seconds", "key"), rows, empty="no steps"))


def _tasks(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        tasks = ws.pipelines.tasks(options.state, options.limit)
    rows = [(t.key, t.state, f"{t.attempts}/{t.max_attempts}", why_failed(t)) for t in tasks]
    data = [dict(zip(("key", "state", "attempts", "why"), row, strict=True)) for row in rows]
    return Answer(data, table(("task", "state", "attempts", "why"), rows, empty="no tasks"))


def _retry(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        task = ws.pipelines.retry(options.key)
    answer = {"key": task.key, "state": task.state}
    return Answer(answer, f"{task.key} is {task.state}; a runner of `trivet up` takes it")


run = Command(
    "Run a flow; package, judge and register what it trains.",
    "trivet run --set rounds=200",
    _run,
    (
        Argument(
            "flow",
            "`module:function`, or a function beside the project's flow (default: that one)",
            {"nargs": "?"},
        ),
        Argument(
            "--set",
            "a parameter of the flow, name=value; may be repeated",
            {"action": "append", "default": [], "metavar": "NAME=VALUE"},
        ),
        Argument(
            "--again",
            "make this step again although it is known; may be repeated",
            {"action": "append", "default": [], "metavar": "STEP"},
        ),
        Argument("--plan", "only say what would run, and why", {"action": "store_true"}),
        Argument("--no-delivery", "run the flow and stop there", {"action": "store_true"}),
        Argument("--traceback", "when it fails, show every line", {"action": "store_true"}),
        Argument("--task", "execute an asked-for run (the runner does this)", {"metavar": "KEY"}),
        Argument("--epoch", argparse.SUPPRESS, {"type": int}),
        Argument("--parent", argparse.SUPPRESS, {"type": int}),
    ),
)

VERBS: Group = {
    "tasks": Command(
        "List the runs that triggers asked for; `failed` ones were given up.",
        "trivet pipelines tasks --state failed",
        _tasks,
        (
            Argument("--state", "only tasks that stand so", {"choices": get_args(TaskState)}),
            Argument("--limit", "at most so many", {"type": int, "default": 100}),
        ),
    ),
    "retry": Command(
        "Send a run again that was asked for and failed or was cancelled.",
        "trivet pipelines retry churn/nightly/2026-05-01",
        _retry,
        (Argument("key", "the task, as `trivet pipelines tasks` lists it"),),
    ),
    "steps": Command(
        "List the steps of a run: what was run and what was remembered.",
        "trivet pipelines steps last",
        _steps,
        (Argument("run", "the run: its identifier, an end of it, or `last`"),),
    ),
}
