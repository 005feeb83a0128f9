"""`trivet runs`: what was run, how it went, and what each step of it did."""

import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import get_terminal_size
from typing import get_args

from trivet.cli.choosing import any_run_of, open_chosen, run_of
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.output import check_folder, cut, duration, size, table, width_of
from trivet.cli.searching import (
    AFTER,
    FILTER,
    ORDER,
    listed,
    position_in,
    quoted,
    token_of,
    with_rest,
)
from trivet.cli.tracking import describe_reported, describe_run
from trivet.core.errors import NotFound
from trivet.drawing.words import readable
from trivet.pipelines.facts import StepDone, StepFailed
from trivet.tracking.artifacts import owner_of
from trivet.tracking.found import FoundRun, FoundRuns, RunFinder, time_of_ms
from trivet.tracking.reporting.facts import ShownStatus
from trivet.tracking.reporting.sampling import PREFIX as SYSTEM
from trivet.tracking.syncing.finding import FinderThere
from trivet.workspace.addresses import reach, read_address
from trivet.workspace.addresses import token_of as token_of_server
from trivet.workspace.workspace import Workspace

_HEADINGS = ("run", "name", "status", "started", "took", "run/remembered", "metrics")
_END = 8
"""How many of an identifier's last digits name a run where there is no room for all."""
_YEAR = len("2026-")
_MOST_SHOWN = 200
_GIVEN = 120

Steps = Counter[str] | None
"""How many steps of a flow's run were run, and how many remembered."""


def _list(options: Namespace) -> Answer:
    if options.server is not None:
        return _listed(options, _finder_at(options.server, options.inside))
    with open_chosen(options) as ws:
        with suppress(ModuleNotFoundError):  # where tracking alone is installed no flows run
            ws.pipelines.sweep()  # what was killed is told to be lost, not to be running
        return _listed(options, ws.tracking.finder, lambda run: _steps(ws, run))


def _finder_at(url: str, project: str | None) -> RunFinder:
    address = read_address(url).within(project)
    token = token_of_server(None)
    return FinderThere(lambda: reach(address, token)[0])


def _steps(ws: Workspace, run: FoundRun) -> Steps:
    if not run.flow:
        return None
    return Counter(step.status for step in ws.pipelines.steps(run.id))


def _listed(
    options: Namespace,
    finder: RunFinder,
    steps_of: Callable[[FoundRun], Steps] = lambda _: None,
) -> Answer:
    """List runs; those of flows with how many of their steps were run, and how many remembered."""
    columns = listed(options.columns) or None
    given = (options.flow, options.status, options.experiment)
    found = finder.find(
        options.filter,
        also=_narrowed(options),
        order=listed(options.order),
        columns=columns,
        experiment=options.experiment,
        after=position_in(options, *given),
        limit=options.limit,
    )
    token = token_of(found.after, options, *given)
    if options.out:
        return _written(found, options.out, token)
    data = found.rows()
    if columns is None:
        steps = [steps_of(run) for run in found]
        for row, count in zip(data, steps, strict=True):
            if count is not None:
                row["steps"] = dict(count)
        text = _fitted(_HEADINGS, [*map(_row, found, steps)])
    else:
        rows = [tuple(row.values()) for row in data]
        text = table(list(found.wanted or ()), rows, empty="no runs")
    return Answer({"runs": data, "after": token}, with_rest(text, token))


def _written(found: FoundRuns, file: str, token: str | None) -> Answer:
    check_folder(Path(file))
    place = found.write(file)
    data = {"file": str(place), "runs": len(found), "after": token}
    return Answer(data, with_rest(f"{len(found)} runs in {place}", token))


def _narrowed(options: Namespace) -> list[str]:
    """Return the filters that options stand for."""
    named = {"flow": options.flow, "status": options.status}
    return [f"{name} = {quoted(value)}" for name, value in named.items() if value]


def _fitted(headings: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    """Lay runs out as a table; on a narrow terminal with the ends of identifiers, and cut off."""
    text = table(headings, rows, empty="no runs")
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    if width is None or all(width_of(line) <= width for line in text.splitlines()):
        return text
    short = [(str(row[0])[-_END:], *row[1:3], str(row[3])[_YEAR:], *row[4:]) for row in rows]
    return "\n".join(cut(line, width) for line in table(headings, short).splitlines())


def _row(run: FoundRun, steps: Steps) -> tuple[object, ...]:
    began = time_of_ms(run.began_ms)
    seconds = time.time() - run.began_ms / 1000 if run.seconds is None else run.seconds
    metrics = {name: v for name, v in run.metrics.items() if not name.startswith(SYSTEM)}
    return (
        run.id,
        cut(readable(f"{run.experiment}/{run.name}" if run.experiment else run.name), _GIVEN),
        run.status,
        None if began is None else f"{began.astimezone():%Y-%m-%d %H:%M}",
        duration(max(0.0, seconds)),
        None if steps is None else f"{steps['run']}/{steps['remembered']}",
        _first(metrics),
    )


def _first(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:3])


def _show(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        ws.pipelines.sweep()
        reported = _reported_of(ws, options.run)
        if reported is not None:
            return _show_reported(ws, reported)
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


def _reported_of(ws: Workspace, word: str) -> str | None:
    """Return the run that a program reported and a word means, None for the run of a flow.

    `last` is the last run of a flow, when there is one.
    """
    if word == "last" and ws.tracking.runs(limit=1):
        return None
    try:
        found = ws.tracking.finder.get([any_run_of(ws, word)])
    except NotFound:
        return None
    return found[0].id if found and found[0].experiment else None


def _show_reported(ws: Workspace, id_: str) -> Answer:
    run = ws.tracking.reported.get(id_)
    (found,) = ws.tracking.finder.get([id_])
    seen = ws.tracking.reported.observed(id_)
    files = ws.tracking.artifacts.list(owner_of("run", id_))
    data = {"run": run, "status": run.status, "observed": seen, "files": files}
    return Answer(data, describe_reported(found, run, seen, files))


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
    with open_chosen(options) as ws:
        run = run_of(ws, options.run)
        run = ws.pipelines.cancel(run.id)
    how = run.status if run.finished else "asked to stop; it is interrupted within seconds"
    return Answer({"run": run, "status": run.status}, f"{run.id}  {how}")


_RUN = Argument("run", "the run: its identifier, an end of it, or `last`")

VERBS: Group = of_projects(
    {
        "list": Command(
            "List runs, newest first, or search them: by metrics, parameters, tags, time.",
            'trivet runs list --filter "metrics.loss < 0.2 AND params.lr >= 0.01" '
            "--order metrics.loss --columns id,metrics.loss,params.lr",
            _list,
            (
                FILTER,
                ORDER,
                Argument(
                    "--columns",
                    "show these: metrics.loss,params.lr,tags.team,status,...",
                    {"action": "append", "default": []},
                ),
                Argument("--experiment", "only runs of this experiment"),
                Argument("--flow", "only runs of this flow"),
                Argument("--status", "only runs that stand so", {"choices": get_args(ShownStatus)}),
                Argument("--limit", "at most so many", {"type": int, "default": 20}),
                AFTER,
                Argument("--out", "write a file: runs.parquet or runs.csv"),
                Argument(
                    "--server",
                    "search a server in place of a folder; its token is taken from TRIVET_TOKEN",
                    {"metavar": "URL"},
                ),
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
)
