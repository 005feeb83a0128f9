"""`trivet runs`: what was run, how it went, and what each step of it did."""

import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import get_args

from trivet.cli.choosing import run_of
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import cut, duration, size, table, width_of
from trivet.cli.tracking import describe_run
from trivet.core.clock import from_micros
from trivet.core.ids import time_of
from trivet.pipelines.facts import StepDone, StepFailed
from trivet.tracking.facts import Run, RunStatus
from trivet.workspace.workspace import open as open_workspace

_END = 8
"""How many of an identifier's last digits name a run where there is no room for all."""
_YEAR = len("2026-")
_MOST_LOOKED_AT = 1000
_MOST_SHOWN = 200
_GIVEN = 120


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        ws.pipelines.sweep()  # what was killed is told to be lost, not to be running
        looked = options.limit if options.status is None else _MOST_LOOKED_AT
        runs = ws.tracking.runs(options.flow, limit=min(looked, _MOST_LOOKED_AT))
        wanted = [run for run in runs if options.status in {None, run.status}][: options.limit]
        counts = [Counter(step.status for step in ws.pipelines.steps(run.id)) for run in wanted]
    rows = [_row(run, count) for run, count in zip(wanted, counts, strict=True)]
    data = [
        {"run": run, "status": run.status, "steps": dict(count)}
        for run, count in zip(wanted, counts, strict=True)
    ]
    headings = ("run", "flow", "status", "started", "took", "run/remembered", "metrics")
    return Answer(data, _fitted(headings, rows))


def _fitted(headings: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    """Lay runs out as a table; on a narrow terminal with the ends of identifiers, and cut off."""
    text = table(headings, rows, empty="no runs")
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    if width is None or all(width_of(line) <= width for line in text.splitlines()):
        return text
    short = [(str(row[0])[-_END:], *row[1:3], str(row[3])[_YEAR:], *row[4:]) for row in rows]
    return "\n".join(cut(line, width) for line in table(headings, short).splitlines())


def _row(run: Run, count: Counter[str]) -> tuple[object, ...]:
    started = from_micros(time_of(run.id) * 1000).astimezone()
    seconds = run.finished.seconds if run.finished else time.time() - started.timestamp()
    metrics = run.finished.metrics if run.finished else {}
    first = ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:3])
    return (
        run.id,
        run.started.name,
        run.status,
        f"{started:%Y-%m-%d %H:%M}",
        duration(max(0.0, seconds)),
        f"{count['run']}/{count['remembered']}",
        first,
    )


def _show(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        ws.pipelines.sweep()
        run = run_of(ws, options.run)
        steps = ws.pipelines.steps(run.id)
        failures = ws.pipelines.failures(run.id)
        data_names = [_data_name(ws.stores.ledger.get(id)) for id in run.started.data]
    parts = [describe_run(run), "", steps_table(steps)]
    parts += [
        f"{failure.step}{_given(failure)} FAILED after {duration(failure.seconds)}: {failure.error}"
        for failure in failures[:_MOST_SHOWN]
    ]
    if data_names:
        parts += ["", f"made from  {', '.join(data_names)}"]
    answer = {"run": run, "status": run.status, "steps": steps, "failures": failures}
    return Answer(answer, "\n".join(parts))


def _given(failure: StepFailed) -> str:
    named = ", ".join(f"{name}={text}" for name, text in list(failure.shown.items())[:4])
    return f"({cut(named, _GIVEN)})"


def _data_name(entry: object) -> str:
    reason = getattr(entry, "reason", "")
    identifier = getattr(entry, "id", "?")
    return f"{identifier} ({reason})" if reason else str(identifier)


def steps_table(steps: Sequence[StepDone]) -> str:
    """Lay out the steps of a run; more than ten calls of one step are one line."""
    counts = Counter(step.step for step in steps)
    rows: list[tuple[object, ...]] = []
    for name in counts:
        calls = [step for step in steps if step.step == name]
        if len(calls) > 10:
            rows.append(_together(calls))
        else:
            rows += [_alone(step) for step in calls]
    hidden = len(rows) - _MOST_SHOWN
    rows = rows[:_MOST_SHOWN]
    headings = ("step", "status", "took", "memory", "result", "of arguments")
    text = table(headings, rows, empty="no steps")
    return f"{text}\n... and {hidden} more: --json has them all" if hidden > 0 else text


def _alone(step: StepDone) -> tuple[object, ...]:
    saved = f"saved {duration(step.saved_s)}" if step.saved_s else ""
    took = duration(step.seconds) if step.status == "run" else saved
    memory = None if step.memory_bytes is None else f"+{size(step.memory_bytes)}"
    made = step.output and f"{step.output.format}, {size(step.output.size_bytes)}"
    given = ", ".join(f"{name} {digest[:8]}" for name, digest in list(step.arguments.items())[:4])
    return step.step, step.status, took, memory, made, given


def _together(calls: Sequence[StepDone]) -> tuple[object, ...]:
    status = Counter(step.status for step in calls)
    known = [step.memory_bytes for step in calls if step.memory_bytes is not None]
    held = sum(step.output.size_bytes for step in calls if step.output)
    return (
        f"{calls[0].step} x {len(calls):,}",
        ", ".join(f"{count:,} {name}" for name, count in status.items()),
        duration(sum(step.seconds for step in calls if step.status == "run")),
        f"+{size(max(known))}" if known else None,
        size(held),
        "",
    )


def _cancel(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        run = run_of(ws, options.run)
        run = ws.pipelines.cancel(run.id)
    how = run.status if run.finished else "asked to stop; it is interrupted within seconds"
    return Answer({"run": run, "status": run.status}, f"{run.id}  {how}")


_RUN = Argument("run", "the run: its identifier, an end of it, or `last`")

VERBS: Group = {
    "list": Command(
        "List runs, newest first: status, time, steps run and remembered, first metrics.",
        "trivet runs list --flow train --status failed",
        _list,
        (
            Argument("--flow", "only runs of this flow"),
            Argument("--status", "only runs that stand so", {"choices": get_args(RunStatus)}),
            Argument("--limit", "at most so many", {"type": int, "default": 20}),
        ),
    ),
    "show": Command(
        "Show a run: inputs, outputs, failure, and each step with its time and memory.",
        "trivet runs show last",
        _show,
        (
            Argument(
                "run",
                "the run: its identifier, an end of it, or `last` (the default)",
                {"nargs": "?", "default": "last"},
            ),
        ),
    ),
    "cancel": Command(
        "Ask a run that is under way to stop.",
        "trivet runs cancel 01a20078b2f679378f03478a29de8f60",
        _cancel,
        (_RUN,),
    ),
}
