"""One prediction's origin, as a chain of boxes from the answer down to the environment."""

from collections.abc import Iterable

from trivet.core.clock import from_micros
from trivet.drawing.markup import Markup, element, joined
from trivet.drawing.words import number
from trivet.serving.lineage import Why

Pairs = Iterable[tuple[str, str | None]]


def draw_origin(why: Why | None) -> Markup:
    """Draw the chain; empty when no prediction was followed."""
    if why is None:
        return Markup()
    boxes = (
        _prediction(why),
        _release(why),
        _model(why),
        _run(why),
        *_data(why),
        _code(why),
        _environment(why),
    )
    return joined(
        element(
            "p",
            "Nothing here is computed: each box is a fact on record that names the next. "
            "Digests cover contents, so the same digest means the same bytes.",
        ),
        element("ol", *boxes, class_="chain"),
    )


def _box(title: str, by: str, identifier: str, pairs: Pairs, *more: str) -> Markup:
    """Make a box. `by` says how the one above leads to it."""
    rows = (
        joined(element("dt", name), element("dd", said)) for name, said in pairs if said is not None
    )
    return element(
        "li",
        element("span", by, element("span", " ↓", aria_hidden="true"), class_="by") if by else "",
        element("h3", title, element("code", identifier)),
        element("dl", *rows, class_="pairs"),
        *more,
    )


def _prediction(why: Why) -> Markup:
    made = why.prediction
    label = "not known yet" if why.label is None else f"{why.label.value:g}"
    event = None if made.event_us is None else from_micros(made.event_us).isoformat(" ")[:16]
    rows = (
        element("tr", element("th", name, scope="row"), element("td", _value(value)))
        for name, value in why.inputs.items()
    )
    heading = element("tr", *(element("th", name, scope="col") for name in ("Input", "Value")))
    return _box(
        "Prediction",
        "",
        made.id,
        (
            ("Answer", ", ".join(f"{value:.6g}" for value in why.output)),
            ("Label", label),
            ("Event time", event and f"{event} UTC"),
            ("Answered", why.answered),
            ("Asked about", made.unit),
            ("Warnings", "; ".join(made.warnings) or None),
        ),
        element(
            "details",
            element("summary", f"Its {len(why.inputs)} inputs, as they were received"),
            element("table", element("thead", heading), element("tbody", *rows)),
        ),
    )


def _value(value: object) -> str:
    if value is None:
        return "missing"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _release(why: Why) -> Markup:
    plan = why.release
    return _box(
        "Release",
        "was answered under",
        why.release_id,
        (
            ("Endpoint", f"{plan.endpoint}, release {plan.generation}, {plan.stage}"),
            ("Variant", f"{why.prediction.variant}, share {why.prediction.share:.0%}"),
            ("Log mode", plan.log_mode),
            ("Decided", f"{plan.why} (by {why.released_by})"),
        ),
    )


def _model(why: Why) -> Markup:
    model, verdict = why.model, why.verdict
    word = "passed" if verdict.passed else "refused, and overridden"
    metrics = (
        (
            name,
            (
                f"{number(found.value, 4)} ({number(found.low, 4)} to {number(found.high, 4)}) "
                f"on {number(found.rows)} held-out rows"
            ),
        )
        for name, found in model.metrics.items()
    )
    return _box(
        "Model",
        "which serves",
        why.model_id,
        (
            ("Version", f"{model.name}:{model.version}, {model.flavour}"),
            ("Package", f"{model.package}, {number(model.size_bytes / 1024)} KiB"),
            ("Gate", f"{verdict.gate}: {word}, {len(verdict.findings)} checks"),
            *metrics,
        ),
    )


def _run(why: Why) -> Markup:
    return _box(
        "Run",
        "which was made by",
        why.run_id,
        (
            ("Flow", why.run.name),
            ("Result", f"{why.finished.status} after {number(why.finished.seconds, 1)} s"),
            ("Asked for by", why.run.asked_by or "a person"),
            *((name, str(value)) for name, value in why.run.parameters.items()),
        ),
    )


def _data(why: Why) -> Iterable[Markup]:
    for at, link in enumerate(why.data):
        commit = link.commit
        tables = (
            (f"Table {name}", f"{number(table.rows)} rows, version {table.version}, {table.digest}")
            for name, table in zip(commit.names, commit.tables, strict=False)
        )
        trees = (
            (f"Files {tree.name}", f"{number(tree.files)} files, {tree.digest}")
            for tree in commit.trees
        )
        yield _box(
            "Data version",
            "and also" if at else "which was fitted to",
            link.id,
            (("Data set", commit.dataset), ("Source", commit.source), *tables, *trees),
        )


def _code(why: Why) -> Markup:
    code = why.code
    commit = code.commit or "none: the project is in no Git repository"
    return _box(
        "Code",
        "by the code",
        code.tree,
        (
            ("Entry", code.entry),
            ("Git commit", commit),
            ("Dirty diff", code.diff if code.dirty else None),
        ),
    )


def _environment(why: Why) -> Markup:
    found = why.environment
    return _box(
        "Environment",
        "in the environment",
        found.lock,
        (
            ("Python", f"{found.python}, {found.packages} distributions"),
            ("Platform", found.platform),
            (
                "Machine",
                f"{found.processors} processors, {number(found.memory_bytes / 2**30, 1)} GiB",
            ),
        ),
    )
