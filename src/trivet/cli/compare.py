"""`trivet compare`: runs beside each other, and what differs from the first."""

import math
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from trivet.cli.choosing import any_run_of, open_chosen
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import cut, duration, table, write_page
from trivet.cli.searching import listed
from trivet.cli.sparks import sparkline
from trivet.drawing.words import readable
from trivet.tracking.comparison import CodeChange, CodeSide, ComparedCurve, Line, RunComparison
from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.sampling import PREFIX
from trivet.workspace.comparing import Compared
from trivet.workspace.comparison_page import render_comparison

if TYPE_CHECKING:
    from trivet.data.differences import DataDifference, TableDifference

_END = 8
_MOST_VALUE = 40
_MOST_LINES = 40
_MOST_CURVES = 12
_MOST_DIFF_LINES = 80
_CHART = 40
_COMMIT = 12


def _compare(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        runs = [any_run_of(ws, word) for word in options.runs]
        found = ws.compare(*runs, metrics=listed(options.metrics) or None)
    text = describe_comparison(found, whole=options.all)
    if options.html:
        write_page(options.html, render_comparison(found))
        text += f"\n\nwritten to {options.html}"
    return Answer(found, text)


def describe_comparison(found: Compared, *, whole: bool = False) -> str:
    """Describe for people how runs differ; with `whole`, also what is the same."""
    tracked = found.tracked
    heads = [f"{run.name} {run.id[-_END:]}" for run in tracked.runs]
    figures = tracked.metrics if whole else _without_machine(tracked.metrics)
    sections = [
        table(("", *heads), _about(tracked.runs)),
        _section("parameters", tracked.parameters, heads, whole=whole),
        _section("metrics", figures, heads, whole=whole),
        _section("tags", _own(tracked.tags), heads, whole=whole),
        "\n".join(_curves(tracked, heads)),
        "\n".join(_code(tracked, heads)),
        _environment(tracked, heads),
        _section("machine", tracked.machine, heads, whole=whole),
        "\n".join(_data(found, heads)),
    ]
    # Names, values and sources come from anybody, and must not act on the terminal.
    return readable("\n\n".join(section for section in sections if section))


def _about(runs: Sequence[FoundRun]) -> list[tuple[object, ...]]:
    return [
        ("run", *(run.id for run in runs)),
        ("experiment", *(run.experiment or None for run in runs)),
        ("status", *(run.status for run in runs)),
        ("took", *(None if run.seconds is None else duration(run.seconds) for run in runs)),
    ]


def _section(title: str, lines: Sequence[Line], heads: Sequence[str], *, whole: bool) -> str:
    shown = [line for line in lines if whole or line.differs]
    if not lines:
        return ""
    differing = sum(line.differs for line in lines)
    first = f"{title}: {differing} of {len(lines)} differ"
    if not shown:
        return f"{title}: all {len(lines)} the same"
    rows = [
        ("*" if line.differs else "", line.name, *map(_value, line.values), *_difference(line))
        for line in shown[:_MOST_LINES]
    ]
    has_difference = len(heads) == 2 and any(len(row) > 4 for row in rows)
    headings = ["", title, *heads, *(["difference"] if has_difference else [])]
    rows = [(*row, *[""] * (len(headings) - len(row))) for row in rows]
    more = len(shown) - len(rows)
    rest = [f"... and {more} more: --json has them all"] if more > 0 else []
    return "\n".join([first, table(headings, rows), *rest])


def _value(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return None if value is None else cut(str(value).replace("\n", " "), _MOST_VALUE)


def _difference(line: Line) -> tuple[str, ...]:
    """Return by how much a metric of two runs differs."""
    values = [value for value in line.values if isinstance(value, float)]
    if len(line.values) != 2 or len(values) != 2:
        return ()
    return (f"{values[1] - values[0]:+.4g}" if line.differs else "",)


def _without_machine(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if not line.name.startswith(PREFIX)]


def _own(lines: Sequence[Line]) -> list[Line]:
    """Return the tags that people gave: not those by which clients keep their books."""
    return [line for line in lines if not line.name.startswith("mlflow.")]


# ---------------------------------------------------------------------- curves


def _curves(tracked: RunComparison, heads: Sequence[str]) -> Iterable[str]:
    shown = tracked.curves[:_MOST_CURVES]
    if not shown:
        return
    yield "curves, over the same steps and values for all runs of a metric"
    width = get_terminal_size().columns if sys.stdout.isatty() else 120
    margin = max(map(len, heads))
    for curve in shown:
        yield f"  {curve.name}{_range_of(curve)}"
        for head, line in zip(
            heads, _drawn(curve, max(10, min(_CHART, width - margin - 40))), strict=True
        ):
            yield f"    {head:<{margin}}  {line}"
    if len(tracked.curves) > len(shown):
        more = len(tracked.curves) - len(shown)
        yield f"  ... and {more} more: --metrics chooses, --html has all"


def _drawn(curve: ComparedCurve, width: int) -> Iterable[str]:
    there = [points for points in curve.runs if points is not None]
    steps = [step for points in there for step in points.steps]
    values = [v for points in there for v in points.values if math.isfinite(v)] or [0.0]
    for points in curve.runs:
        if points is None:
            yield "no points"
            continue
        drawn = sparkline(
            points.steps,
            points.values,
            across=(min(steps), max(steps)),
            upward=(min(values), max(values)),
            width=width,
        )
        finite = [value for value in points.values if math.isfinite(value)]
        least, greatest = (min(finite), max(finite)) if finite else (math.nan, math.nan)
        last = points.values[-1]
        yield f"{drawn}  last {last:.4g}, from {least:.4g} to {greatest:.4g}"


def _range_of(curve: ComparedCurve) -> str:
    steps = [step for points in curve.runs if points is not None for step in points.steps]
    return f", steps {min(steps)} to {max(steps)}"


# ------------------------------------------------------------ code, environment


def _code(tracked: RunComparison, heads: Sequence[str]) -> Iterable[str]:
    sides = [_commit(side) for side in tracked.code]
    if tracked.is_same_code:
        yield f"code: the same ({sides[0]})"
        return
    yield "code"
    for head, side in zip(heads, sides, strict=True):
        yield f"  {head}: {side}"
    left = _MOST_DIFF_LINES
    for head, change in zip(heads[1:], tracked.changes, strict=True):
        lines = list(_change(change, head, heads[0]))
        yield from lines[:left]
        if len(lines) > left:
            yield f"  ... and {len(lines) - left} more lines: --json and --html have them all"
        left = max(10, left - len(lines))


def _commit(side: CodeSide) -> str:
    if side.commit is None:
        return "sources without a git commit" if side.files is not None else "not recorded"
    state = " with uncommitted changes" if side.is_dirty else ""
    return f"commit {side.commit[:_COMMIT]}{state}"


def _change(change: CodeChange, head: str, first: str) -> Iterable[str]:
    if not change.is_known:
        yield f"  {head}: not compared with {first}, for the sources of both are not kept"
        return
    if not change.files:
        yield f"  {head}: the same as {first}"
        return
    some = "1 file differs" if len(change.files) == 1 else f"{len(change.files)} files differ"
    yield f"  {head}: {some} from {first}"
    for line in change.diff.splitlines():
        yield f"    {line}"


def _environment(tracked: RunComparison, heads: Sequence[str]) -> str:
    missing = [head for head, known in zip(heads, tracked.has_packages, strict=True) if not known]
    said = [f"environment: not recorded for {', '.join(missing)}"] if missing else []
    if not tracked.packages:
        known = len(heads) - len(missing)
        return "\n".join([*said, *(["environment: the same distributions"] if known > 1 else [])])
    rows = [
        ("*", line.name, *(_value(value) for value in line.values))
        for line in tracked.packages[:_MOST_LINES]
    ]
    more = len(tracked.packages) - len(rows)
    rest = [f"... and {more} more: --json has them all"] if more else []
    first = f"environment: {len(tracked.packages)} distributions differ"
    return "\n".join([*said, first, table(("", "distribution", *heads), rows), *rest])


# ------------------------------------------------------------------------ data


def _data(found: Compared, heads: Sequence[str]) -> Iterable[str]:
    tracked = found.tracked
    inputs = _section("data sets as logged", tracked.inputs, heads, whole=False)
    if inputs:
        yield inputs
    if not any(tracked.data):
        return
    if all(ids == tracked.data[0] for ids in tracked.data):
        yield "data: the same versions"
        return
    yield "data"
    for head, ids in zip(heads, tracked.data, strict=True):
        named = ", ".join(f"{found.names.get(id_, 'forgotten')} {id_[-_END:]}" for id_ in ids)
        yield f"  {head}: {named or 'none'}"
    for head, differences in zip(heads[1:], found.data, strict=True):
        for difference in differences:
            yield from _dataset(difference, head)


def _dataset(difference: "DataDifference", head: str) -> Iterable[str]:
    yield f"  {head}: {difference.dataset}"
    if not difference.tables and not difference.trees:
        yield "    the same content"
    for one in difference.tables:
        yield f"    table {one.table}: {'; '.join(_table(one))}"
    for tree in difference.trees:
        yield (
            f"    tree {tree.tree}: {tree.added} files added, {tree.removed} removed, "
            f"{tree.changed} changed"
        )


def _table(one: "TableDifference") -> Iterable[str]:
    if one.rows_before is None or one.rows_after is None:
        yield "only here" if one.rows_before is None else "only in the first"
        return
    yield f"{one.rows_before:,} rows, now {one.rows_after:,}"
    if one.rows is not None:
        yield f"{one.rows.added:,} rows added, {one.rows.removed:,} removed"
    for word, columns in (("added", one.columns_added), ("removed", one.columns_removed)):
        if columns:
            yield f"columns {word}: {', '.join(columns)}"
    if one.columns_changed:
        types = (f"{name} ({a}, now {b})" for name, (a, b) in one.columns_changed.items())
        yield f"other types: {', '.join(types)}"
    if one.moved:
        most = sorted(one.moved.items(), key=lambda item: -item[1])[:3]
        yield "distributions moved: " + ", ".join(f"{name} {by:.2f}" for name, by in most)


compare = Command(
    "Compare runs: parameters, metrics, curves, code, environment, data.",
    "trivet compare 33f0a1c2 8e02b7d4 --html compared.html",
    _compare,
    (
        Argument(
            "runs",
            "the runs, the first of which the others are compared with: identifiers, ends of them, "
            "names, or `last`",
            {"nargs": "+"},
        ),
        Argument(
            "--metrics",
            "whose curves to compare: loss,val/loss (default: all but the machine's)",
            {"action": "append", "default": []},
        ),
        Argument("--all", "show what is the same, too", {"action": "store_true"}),
        Argument("--html", "write a page with all charts and diffs to this file"),
    ),
    of_projects=True,
)
