"""A comparison of runs as one HTML file that needs no network and no script."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trivet.drawing.lines import Line as Drawn
from trivet.drawing.lines import line_chart, line_key
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.tracking.comparison import CodeChange, CodeSide, ComparedCurve, Line, RunComparison
from trivet.workspace.comparing import Compared

if TYPE_CHECKING:
    from trivet.data.differences import DataDifference, TableDifference

_MOST_CHARTS = 100
_END = 8


def render_comparison(found: Compared) -> str:
    """Return the page's HTML."""
    tracked = found.tracked
    names = [f"{run.name} {run.id[-_END:]}" for run in tracked.runs]
    sections = [
        ("runs", "Runs", _runs(tracked, names)),
        ("curves", "Curves", _curves(tracked.curves, names)),
        ("metrics", "Metrics", _lines(tracked.metrics, names)),
        ("parameters", "Parameters", _lines(tracked.parameters, names)),
        ("tags", "Tags", _lines(tracked.tags, names)),
        ("code", "Code", _code(tracked, names)),
        ("environment", "Environment", _environment(tracked, names)),
        ("data", "Data", _data(found, names)),
    ]
    shown = [section for section in sections if section[2]]
    links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in shown)
    title = " and ".join(names) if len(names) == 2 else f"{len(names)} runs"
    body = element(
        "body",
        element(
            "header",
            element("p", "Comparison of runs", class_="eyebrow"),
            element("h1", title),
            element("p", f"Differences are those from {names[0]}.", class_="lead"),
            element("nav", element("ul", *links), aria_label="Contents"),
        ),
        element("main", *(page_section(*section) for section in shown)),
        element("footer", element("p", "Written by Trivet: `trivet compare`.")),
    )
    return render_page(f"Comparison: {title}", body)


def _runs(tracked: RunComparison, names: Sequence[str]) -> Markup:
    rows = [
        (run.id, run.experiment or "a flow", run.status, _seconds(run.seconds), run.user)
        for run in tracked.runs
    ]
    return _table(
        ("run", "identifier", "experiment", "status", "seconds", "user"),
        [(name, *row) for name, row in zip(names, rows, strict=True)],
        "Runs",
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _lines(lines: Sequence[Line], names: Sequence[str]) -> Markup:
    if not lines:
        return Markup("")
    ordered = sorted(lines, key=lambda line: not line.differs)
    heads = [element("th", text, scope="col") for text in ("", *names)]
    rows = [
        element(
            "tr",
            element("th", line.name, scope="row"),
            *(element("td", _cell(line, value)) for value in line.values),
        )
        for line in ordered
    ]
    differing = sum(line.differs for line in lines)
    caption = f"{differing} of {len(lines)} differ; what differs is set in bold and stands first."
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
    )
    return scrolling(content, label=caption)


def _cell(line: Line, value: object) -> str:
    text = "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return element("strong", text) if line.differs else text


def _curves(curves: Sequence[ComparedCurve], names: Sequence[str]) -> Markup:
    if not curves:
        return Markup("")
    legend = element(
        "ul",
        *(element("li", line_key(at), " ", name) for at, name in enumerate(names)),
        class_="legend",
    )
    figures = [_figure(at, curve, names) for at, curve in enumerate(curves[:_MOST_CHARTS])]
    return joined(legend, *figures)


def _figure(position: int, curve: ComparedCurve, names: Sequence[str]) -> Markup:
    # A run without points keeps its place, so that colours mean the same in every chart.
    lines = [
        Drawn(name, points.steps, points.values) if points else Drawn(name, (), ())
        for name, points in zip(names, curve.runs, strict=True)
    ]
    said = "; ".join(
        f"{name} ends at {points.values[-1]:.4g}"
        for name, points in zip(names, curve.runs, strict=True)
        if points
    )
    chart = line_chart(curve.name, said, lines=lines, axis="step", name=f"curve-{position}")
    return element(
        "figure",
        element("h3", curve.name),
        scrolling(chart, label=curve.name),
        element("figcaption", said),
    )


def _code(tracked: RunComparison, names: Sequence[str]) -> Markup:
    states = [_state(side) for side in tracked.code]
    listed = [element("li", f"{name}: {state}") for name, state in zip(names, states, strict=True)]
    changes = [
        _change(name, change) for name, change in zip(names[1:], tracked.changes, strict=True)
    ]
    return joined(element("ul", *listed), *changes)


def _state(side: CodeSide) -> str:
    if side.commit is None:
        return "sources without a git commit" if side.files is not None else "not recorded"
    return f"commit {side.commit}{' with uncommitted changes' if side.is_dirty else ''}"


def _change(name: str, change: CodeChange) -> Markup:
    if not change.is_known:
        return element("p", f"{name}: not compared, for the sources of both are not kept.")
    if not change.files:
        return element("p", f"{name}: the same sources.")
    files = ", ".join(f"{path} ({fate})" for path, fate in change.files.items())
    return joined(
        element("h3", name),
        element("p", files),
        element("pre", element("code", change.diff), tabindex=0),
    )


def _environment(tracked: RunComparison, names: Sequence[str]) -> Markup:
    missing = [name for name, known in zip(names, tracked.has_packages, strict=True) if not known]
    said = f"Not recorded for {', '.join(missing)}." if missing else ""
    if not tracked.packages and len(missing) < len(names) - 1:
        said += " The same distributions."
    machine = [line for line in tracked.machine if line.differs]
    return joined(
        element("p", said) if said else "",
        _lines(tracked.packages, names),
        element("h3", "Machine") if machine else "",
        _lines(machine, names),
    )


def _data(found: Compared, names: Sequence[str]) -> Markup:
    tracked = found.tracked
    parts: list[str] = []
    if any(tracked.data):
        listed = (
            element("li", f"{name}: {_versions(found, ids)}")
            for name, ids in zip(names, tracked.data, strict=True)
        )
        parts.append(element("ul", *listed))
    for name, differences in zip(names[1:], found.data, strict=True):
        parts += [_dataset(name, difference) for difference in differences]
    if tracked.inputs:
        parts += [element("h3", "As the runs name them"), _lines(tracked.inputs, names)]
    return joined(*parts)


def _versions(found: Compared, ids: Sequence[str]) -> str:
    return ", ".join(f"{found.names.get(id_, 'forgotten')} {id_}" for id_ in ids) or "none"


def _dataset(name: str, difference: "DataDifference") -> Markup:
    rows = [_counts(one) for one in difference.tables]
    rows += [
        (f"files of {tree.tree}", "–", "–", tree.added, tree.removed, f"{tree.changed} changed")
        for tree in difference.trees
    ]
    heading = element("h3", f"{difference.dataset}, {name}")
    if not rows:
        return joined(heading, element("p", "The same content."))
    heads = ("table", "rows before", "rows after", "rows added", "rows removed", "columns")
    return joined(heading, _table(heads, rows, f"How {difference.dataset} differs"))


def _counts(one: "TableDifference") -> tuple[object, ...]:
    columns = [
        *(f"{name} added" for name in one.columns_added),
        *(f"{name} removed" for name in one.columns_removed),
        *(f"{name}: {a}, now {b}" for name, (a, b) in one.columns_changed.items()),
    ]
    rows = one.rows
    return (
        one.table,
        one.rows_before,
        one.rows_after,
        None if rows is None else rows.added,
        None if rows is None else rows.removed,
        "; ".join(columns) or "the same",
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]], label: str) -> Markup:
    first = element("tr", *(element("th", head, scope="col") for head in heads))
    body = [
        element("tr", *(element("td", "–" if cell is None else str(cell)) for cell in row))
        for row in rows
    ]
    return scrolling(
        element("table", element("thead", first), element("tbody", *body)), label=label
    )
