"""`trivet backfill`: a flow over many days, months, numbers or names."""

import signal
import sys
import time
from argparse import Namespace

from trivet.cli.choosing import flow_named
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.errors import FAILED, INTERRUPTED, TERMINATED
from trivet.cli.output import fields, table
from trivet.cli.pipelines import parse_parameters
from trivet.core.errors import Invalid
from trivet.triggers.backfills import BackfillStatus
from trivet.triggers.partitions import parse_axis
from trivet.workspace.backfilling import check_flow, fill_here, has_daemon, rehearse
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def _backfill(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        if options.status:
            return _shown(ws.backfills.status(options.status))
        if options.cancel:
            status = ws.backfills.cancel(options.cancel, options.reason)
            return _shown(status, "cancelled; what is under way goes on to its end")
        if options.retry_failed:
            return _execute(ws, ws.backfills.retry_failed(options.retry_failed))
        if options.over:
            return _begin(ws, options)
        if options.flow:
            raise Invalid(
                "nothing says what to fill over; expected --over",
                code="bad-arguments",
                hint="For example --over day=2026-01-01..2026-01-31, or --over region=eu,us.",
            )
        return _list(ws)


def _begin(ws: Workspace, options: Namespace) -> Answer:
    flow = flow_named(ws, options.flow)
    parameters = parse_parameters(options.set)
    axes = [parse_axis(text) for text in options.over]
    check_flow(ws, flow, [*(axis.parameter for axis in axes), *parameters])
    described = ws.backfills.start if not options.dry_run else ws.backfills.imagine
    status = described(
        flow,
        options.over,
        name=options.name,
        parameters=parameters,
        newest_first=options.newest_first,
        at_once=options.at_once,
    )
    return _rehearse(ws, status) if options.dry_run else _execute(ws, status)


def _rehearse(ws: Workspace, status: BackfillStatus) -> Answer:
    found = rehearse(ws, status)
    rows = [(item.partition, item.action, item.because) for item in found]
    counts = {item.action: 0 for item in found}
    for item in found:
        counts[item.action] += 1
    summary = ", ".join(f"{count} {action}" for action, count in counts.items())
    text = f"back-fill {status.spec.name}: {summary}\n\n"
    return Answer(found, text + table(("partition", "would", "because"), rows))


def _execute(ws: Workspace, status: BackfillStatus) -> Answer:
    name = status.spec.name
    if has_daemon(ws):
        ws.backfills.feed(name)
        note = f"the runners of `trivet up` do it; see `trivet backfill --status {name}`"
        return _shown(ws.backfills.status(name), note)
    ended_by = fill_here(ws, name, _tell)
    answer = _shown(ws.backfills.status(name))
    if ended_by is None:
        return answer
    code = TERMINATED if ended_by == signal.SIGTERM else INTERRUPTED
    return Answer(answer.data, answer.text, code)


def _shown(status: BackfillStatus, note: str = "") -> Answer:
    spec = status.spec
    counts = {
        "done": status.count("done"),
        "running": status.count("running"),
        "to come": status.count("waiting", "ready"),
        "failed": status.count("failed"),
        "cancelled": status.count("cancelled"),
    }
    state = "cancelled" if spec.cancelled else "over" if status.is_over else "open"
    pairs: list[tuple[str, object]] = [
        ("back-fill", spec.name),
        ("flow", spec.flow),
        ("over", " × ".join(spec.over)),
        ("state", state),
        *((word, count) for word, count in counts.items() if count or word == "done"),
    ]
    lines = [fields(pairs)]
    failed = [(p.label, p.reason) for p in status.partitions if p.state == "failed"]
    if failed:
        lines += ["", table(("failed", "because"), failed)]
        lines += ["", f"mend it, then `trivet backfill --retry-failed {spec.name}`"]
    if state == "open" and not note:
        note = "the same command goes on with it"
    lines += ["", note] if note else []
    return Answer(status, "\n".join(lines), FAILED if failed and state == "over" else 0)


def _list(ws: Workspace) -> Answer:
    found = ws.backfills.all()
    rows = [
        (
            status.spec.name,
            status.spec.flow,
            " × ".join(status.spec.over),
            f"{status.count('done')} of {len(status.partitions)}",
            status.count("failed"),
        )
        for status in found
    ]
    text = table(("back-fill", "flow", "over", "done", "failed"), rows, empty="no back-fills")
    return Answer(found, text)


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


backfill = Command(
    "Run a flow for each of many days, numbers or names; without --over, list back-fills.",
    "trivet backfill pipeline:train --over day=2026-01-01..2026-01-31 --at-once 2",
    _backfill,
    (
        Argument("flow", "`module:function` (default: the project's)", {"nargs": "?"}),
        Argument(
            "--over",
            "a parameter and its values: day=2026-01-01..2026-01-31, month=2025-11..2026-02, "
            "n=1..20, region=eu,us; several make a product",
            {"action": "append", "default": [], "metavar": "NAME=VALUES"},
        ),
        Argument(
            "--set",
            "a further parameter, name=value; may be repeated",
            {"action": "append", "default": [], "metavar": "NAME=VALUE"},
        ),
        Argument("--name", "the back-fill's name (default: made of what it fills)"),
        Argument("--newest-first", "begin with the last partition", {"action": "store_true"}),
        Argument("--at-once", "how many at the same time", {"type": int, "default": 1}),
        Argument("--dry-run", "only say what would run, and why", {"action": "store_true"}),
        Argument("--status", "say where a back-fill stands", {"metavar": "NAME"}),
        Argument("--retry-failed", "try again what failed", {"metavar": "NAME"}),
        Argument("--cancel", "begin nothing more", {"metavar": "NAME"}),
        Argument("--reason", "why it is cancelled", {"default": "cancelled by hand"}),
    ),
)
