"""What a version was made from, and what that took: data, code, environment, energy."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from trivet.tracking.facts import CodeState
from trivet.workspace.cards.card import Gap, Grid, Section
from trivet.workspace.cards.evidence import DataUsed, Evidence
from trivet.workspace.cards.words import gaps_of, grouped, lines, reported, texts_of

_MOST_COLUMNS: Final = 200
_MOST_TEXT: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def training_data(evidence: Evidence) -> Section:
    """What it learned from: versions, rows, schema and profile."""
    grids = [grid for used in evidence.data for grid in _data_grids(used)]
    found = [line for used in evidence.data for line in _data_lines(used)]
    rows = tuple(
        (
            item.name,
            item.digest,
            item.context,
            item.source_type,
            item.source,
            (item.profile or "")[:_MOST_TEXT],
        )
        for item in evidence.inputs
    )
    if rows:
        grids.append(
            Grid(
                caption="Data sets that the program said it was given",
                headings=("name", "digest", "used for", "kind", "source", "profile"),
                rows=rows,
            )
        )
    gaps = list(gaps_of(evidence, "training-data"))
    if not evidence.data and not evidence.inputs:
        gaps.insert(
            0,
            Gap(
                what="the data it was trained on",
                command="mlflow.log_input(dataset, context='training') in the run",
            ),
        )
    return Section(
        key="training-data",
        title="Training data",
        texts=texts_of(evidence, "training-data"),
        lines=lines(found),
        grids=tuple(grids),
        gaps=tuple(gaps),
    )


def code_and_environment(evidence: Evidence) -> Section:
    """Which code made it, on what."""
    seen = evidence.run or evidence.observed
    found: list[tuple[str, str]] = []
    if seen is not None:
        code, place = seen.code, seen.environment
        found = [
            ("entry", code.entry),
            ("sources", code.tree),
            ("commit", code.commit or "not in a Git repository"),
            ("uncommitted changes", _changes(code)),
            ("Python", place.python),
            ("platform", place.platform),
            ("packages", f"{place.packages} distributions, lock {place.lock}"),
        ]
    else:
        tags = reported(evidence, "tags.")
        found = [
            ("entry", str(tags.get("mlflow.source.name", ""))),
            ("commit", str(tags.get("mlflow.source.git.commit", ""))),
        ]
    version = evidence.subject.version
    found.insert(0, ("run", (version.run or "") if version else ""))
    gaps: list[Gap] = []
    if seen is None:
        what = "the sources and the environment of its run"
        gaps.append(Gap(what=what, command="run it with `trivet run`, or `ws.tracking.begin(...)`"))
    return Section(key="code", title="Code and environment", lines=lines(found), gaps=tuple(gaps))


def impact(evidence: Evidence) -> Section:
    """What training it took: energy, hardware, time."""
    found = [
        (name.removesuffix("_kwh").replace("_", " "), f"{value:.4g} kWh")
        for name, value in evidence.energy_kwh.items()
    ]
    gaps: list[Gap] = []
    has_text = "impact" in evidence.texts
    if not found and not has_text:
        what = "the energy that training took"
        gaps.append(Gap(what=what, command="`ws.tracking.begin(..., system=True)`"))
    machine = evidence.observed.machine if evidence.observed else None
    if machine is not None and machine.processors:
        gpus = ", ".join(gpu.name for gpu in machine.gpus) or "none"
        found += [
            ("processors", f"{machine.processors} × {machine.cpu or 'unknown'}"),
            ("memory", f"{grouped(machine.memory_bytes)} bytes"),
            ("graphics processors", gpus),
        ]
    elif evidence.run is not None:
        place = evidence.run.environment
        found += [
            ("processors", str(place.processors)),
            ("memory", f"{grouped(place.memory_bytes)} bytes"),
        ]
    elif not has_text:
        command = "`ws.tracking.begin(..., system=True)`"
        gaps.append(Gap(what="the hardware it was trained on", command=command))
    if evidence.ended is not None:
        found.append(("duration of its run", f"{evidence.ended.seconds:.3g} s"))
    return Section(
        key="impact",
        title="Environmental impact",
        texts=texts_of(evidence, "impact"),
        lines=lines(found),
        gaps=tuple(gaps),
    )


def _changes(code: CodeState) -> str:
    if code.commit is None:
        return ""
    return (code.diff or "yes") if code.dirty else "none"


def _data_lines(used: DataUsed) -> Iterator[tuple[str, str]]:
    commit = used.commit
    yield commit.dataset, used.id
    yield f"source of {commit.dataset}", commit.source
    if commit.message:
        yield f"message of {commit.dataset}", commit.message
    if commit.until is not None:
        yield f"{commit.dataset} is complete until", f"{commit.until:%Y-%m-%d %H:%M}"
    if commit.synthetic:
        yield commit.dataset, "some of it was made up (synthetic)"
    for tree in commit.trees:
        words = f"{grouped(tree.files)} files, {tree.digest}"
        yield f"files {tree.name} of {commit.dataset}", words
    for finding in commit.findings:
        if finding.ok is not True:
            yield f"quality of {commit.dataset}", finding.summary


def _data_grids(used: DataUsed) -> Iterator[Grid]:
    tables = used.commit.tables
    for name, table in zip(used.commit.names or [t.name for t in tables], tables, strict=False):
        profile = used.profiles.get(name, {})
        columns = {str(each["name"]): each for each in profile.get("columns", [])}
        rows = tuple(
            (column, kind, *_column(columns.get(column, {})))
            for column, kind in list(table.columns.items())[:_MOST_COLUMNS]
        )
        caption = f"{used.commit.dataset}, table {name}: {grouped(table.rows)} rows, "
        yield Grid(
            caption=f"{caption}version {table.version}, digest {table.digest}",
            headings=("column", "type", "missing", "distinct", "range", "mean"),
            rows=rows,
        )


def _column(profile: dict[str, object]) -> tuple[str, str, str, str]:
    write = _WRITERS.get(str(profile.get("kind")), _figure)
    low, high, mean = (write(profile.get(name)) for name in ("low", "high", "mean"))
    spread = f"{low} to {high}" if low and high else ""
    return _count(profile.get("missing")), _count(profile.get("distinct")), spread, mean


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | int) else ""


def _date(value: object) -> str:
    return _moment(value).partition(" ")[0]


def _moment(value: object) -> str:
    """Write seconds since 1970, which is what profiles have of dates."""
    if not isinstance(value, float | int):
        return ""
    try:
        return f"{_EPOCH + timedelta(seconds=value):%Y-%m-%d %H:%M}"
    except OverflowError:  # a year that the calendar has not
        return _figure(value)


_WRITERS: Final[dict[str, Callable[[object], str]]] = {"date": _date, "datetime": _moment}


def _count(value: object) -> str:
    return grouped(value) if isinstance(value, int) else ""
