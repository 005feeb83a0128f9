"""What a gate said of a version: figures with intervals, criteria, slices, held-out rows."""

from collections.abc import Iterator

from trivet.core.clock import from_micros
from trivet.core.gates import Finding
from trivet.models.facts import GateVerdict
from trivet.workspace.cards.card import Gap, Grid, Section
from trivet.workspace.cards.evidence import Evidence
from trivet.workspace.cards.words import gaps_of, grouped, lines, plain, texts_of, written

_NO_GATE = "register a candidate through a gate: `trivet run`"


def metrics(evidence: Evidence) -> Section:
    """Which figures tell whether it works, and what they are."""
    grids: list[Grid] = []
    model = evidence.model
    if model is not None and model.metrics:
        rows = tuple(
            (name, written(m.value, m.low, m.high), f"{m.confidence:.0%}", grouped(m.rows))
            for name, m in model.metrics.items()
        )
        heads = ("metric", "value (interval)", "confidence", "rows")
        grids.append(Grid(caption="On held-out rows", headings=heads, rows=rows))
    reported = {
        name.removeprefix("metrics."): value
        for name, value in sorted(evidence.reported.items())
        if name.startswith("metrics.") and not name.startswith("metrics.system/")
    }
    if reported:
        rows = tuple((name, f"{value:.6g}") for name, value in reported.items())
        caption = "What the run itself reported; nobody checked it"
        grids.append(Grid(caption=caption, headings=("metric", "value"), rows=rows))
    success = str(evidence.brief.get("success", ""))
    gaps = list(() if success else gaps_of(evidence, "metrics"))
    if model is None:
        what = "figures with intervals on rows that no training saw"
        gaps.append(Gap(what=what, command=_NO_GATE))
    return Section(
        key="metrics",
        title="Metrics",
        texts=texts_of(evidence, "metrics"),
        lines=lines([("success", success)]),
        grids=tuple(grids),
        gaps=tuple(gaps),
    )


def evaluation_data(evidence: Evidence) -> Section:
    """The rows it was judged on."""
    verdict = evidence.verdict
    if verdict is None:
        gap = Gap(what="the held-out rows it was judged on", command=_NO_GATE)
        return Section(key="evaluation-data", title="Evaluation data", gaps=(gap,))
    found = [
        ("rows", grouped(verdict.rows) if verdict.rows else ""),
        ("digest of the labels", verdict.labels or ""),
        ("from", _moment(verdict.first_us)),
        ("to", _moment(verdict.last_us)),
        ("looks at these rows", str(verdict.look)),
        ("one-sided level of this look", "" if verdict.alpha is None else f"{verdict.alpha:.3g}"),
    ]
    gaps = list(gaps_of(evidence, "evaluation-data"))
    if verdict.first_us is None:
        what = "the time of the held-out rows"
        gaps.append(Gap(what=what, command='`[rows] time = "..."` in gate.toml, then run again'))
    return Section(
        key="evaluation-data",
        title="Evaluation data",
        texts=texts_of(evidence, "evaluation-data"),
        lines=lines(found),
        gaps=tuple(gaps),
    )


def quantitative(evidence: Evidence) -> Section:
    """The gate's verdict: each criterion, and each slice."""
    verdict = evidence.verdict
    if verdict is None:
        gap = Gap(what="a gate's verdict", command=_NO_GATE)
        return Section(key="analyses", title="Quantitative analyses", gaps=(gap,))
    found = [("gate", f"{verdict.gate}: {'passed' if verdict.passed else 'refused'}")]
    if evidence.override is not None:
        told = evidence.override
        overruled = f"by {told.by} against {', '.join(told.overruled)}: {told.reason}"
        found.append(("gate overruled", overruled))
    if evidence.judged_again is not None:
        again = evidence.judged_again
        found.append(("judged again later", "passed" if again.passed else "refused"))
    grids = [_criteria(verdict), *_slices(verdict)]
    gaps: list[Gap] = []
    if len(grids) == 1:
        what = "figures for parts of the rows (unitary and intersectional results)"
        gaps.append(Gap(what=what, command='`[slices] columns = ["..."]` in gate.toml, run again'))
    return Section(
        key="analyses",
        title="Quantitative analyses",
        lines=lines(found),
        grids=tuple(grids),
        gaps=tuple(gaps),
    )


def _criteria(verdict: GateVerdict) -> Grid:
    marks = {True: "yes", False: "no", None: "undecided"}
    rows = tuple(
        (
            finding.check,
            marks[finding.ok] + (" (warning only)" if finding.severity == "warn" else ""),
            "" if finding.value is None else written(finding.value, finding.low, finding.high),
            "" if finding.threshold is None else plain(finding.threshold),
            "" if finding.rows is None else grouped(finding.rows),
            finding.summary,
        )
        for finding in verdict.findings
    )
    heads = ("criterion", "holds", "figure (interval)", "threshold", "rows", "in words")
    return Grid(caption=f"Criteria of the gate {verdict.gate}", headings=heads, rows=rows)


def _slices(verdict: GateVerdict) -> Iterator[Grid]:
    for finding in verdict.findings:
        parts = finding.evidence.get("slices")
        if isinstance(parts, dict) and parts:
            yield _slice_grid(finding)


def _slice_grid(finding: Finding) -> Grid:
    parts: dict[str, list[float]] = finding.evidence["slices"]
    rows = tuple(
        (name, written(*figures[:3]), grouped(int(figures[3])))
        for name, figures in sorted(parts.items())
    )
    heads = ("part", "value (interval)", "rows")
    return Grid(caption="By parts of the held-out rows", headings=heads, rows=rows)


def _moment(micros: int | None) -> str:
    return "" if micros is None else f"{from_micros(micros):%Y-%m-%d %H:%M} UTC"
