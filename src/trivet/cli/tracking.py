"""`trivet tracking`: runs, metrics, notes."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, size, table
from trivet.tracking.facts import Run
from trivet.workspace.workspace import open as open_workspace


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        runs = ws.tracking.runs(options.name, limit=options.limit)
    rows = [
        (
            run.id,
            run.started.name,
            run.status,
            run.finished.seconds if run.finished else None,
            _metrics(run),
        )
        for run in runs
    ]
    return Answer(
        runs, table(("run", "flow", "status", "seconds", "metrics"), rows, empty="no runs yet")
    )


def _show(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        run = ws.tracking.get(options.id)
    return Answer(run, describe_run(run))


def _note(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        ws.tracking.note(options.subject, options.text)
    return Answer({"subject": options.subject, "text": options.text}, "noted")


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


def _metrics(run: Run) -> str:
    metrics = run.finished.metrics if run.finished else {}
    return ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:4])


VERBS: Group = {
    "list": Command(
        "List runs, newest first.",
        "trivet tracking list --limit 5",
        _list,
        (
            Argument("--name", "only runs of this flow"),
            Argument("--limit", "at most so many", {"type": int, "default": 20}),
        ),
    ),
    "show": Command(
        "Show a run: parameters, code, environment, metrics, outputs.",
        "trivet tracking show 01a20078b2f679378f03478a29de8f60",
        _show,
        (Argument("id", "the run"),),
    ),
    "note": Command(
        "Write a note about any fact.",
        'trivet tracking note 01a20078b2f679378f03478a29de8f60 "stopped too early"',
        _note,
        (Argument("subject", "the fact's identifier"), Argument("text", "the note")),
    ),
}
