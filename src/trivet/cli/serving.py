"""`trivet replay`, `score` and `trivet serving`: predictions and labels."""

import csv
from argparse import Namespace
from collections import deque
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.errors import EXIT_CODES
from trivet.cli.output import fields, table
from trivet.core.clock import from_micros
from trivet.core.errors import Invalid, NotFound
from trivet.serving.exchange import LabelIn
from trivet.serving.lineage import DataLink, Why
from trivet.serving.records import output_values
from trivet.workspace.workspace import open as open_workspace


def describe_why(why: Why) -> str:
    """Describe the chain behind a prediction, from the answer to the environment."""
    code = why.code
    state = code.commit or "not in a Git repository"
    if code.dirty:
        state += ", with uncommitted changes" + (f" ({code.diff})" if code.diff else "")
    label = "not known yet" if why.label is None else f"{why.label.value:g}"
    lines = [
        fields(
            [
                ("prediction", why.prediction.id),
                ("  answered", why.answered),
                ("  output", ", ".join(f"{value:.6g}" for value in why.output)),
                ("  truth", label),
                ("release", why.release_id),
                (
                    "  variant",
                    (
                        f"{why.prediction.variant}, {why.prediction.assignment}, "
                        f"share {why.prediction.share:.0%}"
                    ),
                ),
                ("  decided", f"{why.release.why} (by {why.released_by})"),
                ("model", f"{why.model.name}:{why.model.version}"),
                ("  package", why.model.package),
                (
                    "  gate",
                    (
                        f"{why.verdict.gate}: {'passed' if why.verdict.passed else 'overridden'}, "
                        f"{len(why.verdict.findings)} checks"
                    ),
                ),
                ("run", why.run_id),
                ("  flow", why.run.name),
                *((f"  {name}", value) for name, value in why.run.parameters.items()),
                *(
                    (
                        "data" if i == 0 else "",
                        (
                            f"{link.commit.dataset} {link.id} ({_rows(link)} rows, "
                            f"{link.commit.source})"
                        ),
                    )
                    for i, link in enumerate(why.data)
                ),
                ("code", state),
                ("  entry", code.entry),
                ("  sources", code.tree),
                (
                    "environment",
                    (
                        f"Python {why.environment.python}, {why.environment.packages} "
                        f"distributions, {why.environment.platform}"
                    ),
                ),
                ("  lock", why.environment.lock),
            ]
        ),
        "",
        table(("input", "value"), list(why.inputs.items())),
    ]
    return "\n".join(lines)


def _rows(link: DataLink) -> int:
    return sum(table.rows for table in link.commit.tables)


def _replay(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.serving.replay(options.prediction)
    verdict = "equal, bit for bit" if found.equal else "NOT EQUAL"
    text = fields(
        [
            ("prediction", found.prediction),
            ("model", found.model),
            ("recorded", ", ".join(f"{v:.9g}" for v in found.recorded)),
            ("recomputed", ", ".join(f"{v:.9g}" for v in found.recomputed)),
            ("", verdict),
        ]
    )
    return Answer(found, text, 0 if found.equal else 1)


def _score(options: Namespace) -> Answer:
    # Whole tables need Polars; the other commands here, and serving itself, do without.
    from trivet.serving.scoring import score_file

    with open_workspace(options.project) as ws:
        model = ws.models.get(options.model or ws.settings.model)
        scored = score_file(ws.stores.blobs, model, Path(options.file), Path(options.out))
    lines = [f"{scored.rows} rows scored by {scored.model} into {options.out}"]
    lines += [
        f"{name}: {rows} rows hold a category that training never saw; it was taken as missing"
        for name, rows in scored.unknown.items()
    ]
    return Answer(scored, "\n".join(lines))


def _predictions(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        newest = deque(ws.serving.predictions(options.endpoint), maxlen=options.limit)
    found = list(reversed(newest))
    rows = [
        (
            p.id,
            from_micros(p.time_us),
            p.endpoint,
            p.variant if p.role == "live" else f"{p.variant} (shadow)",
            ", ".join(f"{value:.4f}" for value in output_values(p.output)),
        )
        for p in found
    ]
    data = [
        {
            "id": p.id,
            "endpoint": p.endpoint,
            "release": p.release,
            "variant": p.variant,
            "role": p.role,
            "output": output_values(p.output),
        }
        for p in found
    ]
    headings = ("prediction", "answered", "endpoint", "variant", "output")
    return Answer(data, table(headings, rows, empty="no predictions yet"))


def _label(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        stored = ws.serving.label(_read_labels(options), source="command line")
    lines = [f"{stored.accepted} label{'' if stored.accepted == 1 else 's'} stored"]
    lines += [f"no log holds the prediction {identifier}" for identifier in stored.unknown]
    return Answer(stored, "\n".join(lines), EXIT_CODES[NotFound] if stored.unknown else 0)


def _read_labels(options: Namespace) -> list[LabelIn]:
    if options.file is not None:
        return _read_label_file(Path(options.file))
    if options.prediction is None or options.value is None:
        raise Invalid(
            "no label is given; expected a prediction and its true value, or --file",
            code="bad-arguments",
            hint="For example `trivet serving label PREDICTION 1`.",
        )
    return [LabelIn(prediction=options.prediction, value=options.value)]


def _read_label_file(path: Path) -> list[LabelIn]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(row.get("prediction"), row.get("value")) for row in reader]
            names = reader.fieldnames or ()
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid(
            f"{path.name!r} is no CSV text in UTF-8: {error}",
            code="broken-csv",
            hint="Write it with the columns prediction and value.",
        ) from error
    absent = [name for name in ("prediction", "value") if name not in names]
    if absent:
        raise Invalid(
            f"{path.name!r} has no column {absent[0]!r}",
            code="absent-field",
            hint="Write it with the columns prediction and value.",
        )
    broken = next((n for n, (one, two) in enumerate(rows, 2) if not one or not two), None)
    if broken is not None:
        raise Invalid(
            f"line {broken} of {path.name!r} lacks a prediction or a value",
            code="broken-csv",
            hint="Leave rows whose truth is not known out; nothing was stored.",
        )
    # As text: a class called 3 is not the class number 3.
    return [LabelIn(prediction=str(one), value=str(two)) for one, two in rows]


_PREDICTION = Argument("prediction", "the prediction's identifier, as it was answered")

replay = Command(
    "Run a prediction again from its package and compare bit for bit.",
    "trivet replay 01a20078b2f679378f03478a29de8f60",
    _replay,
    (_PREDICTION,),
)
score = Command(
    "Predict a whole CSV or Parquet file with a registered model.",
    "trivet score customers.csv --out scored.parquet --model churn@champion",
    _score,
    (
        Argument("file", "the rows"),
        Argument("--out", "where the scored rows go (.csv or .parquet)", {"required": True}),
        Argument("--model", "the model (default: the project's newest)"),
    ),
)

VERBS: Group = {
    "predictions": Command(
        "List logged predictions, newest first.",
        "trivet serving predictions --limit 5",
        _predictions,
        (
            Argument("--endpoint", "only those of this endpoint"),
            Argument("--limit", "at most so many", {"type": int, "default": 20}),
        ),
    ),
    "label": Command(
        "Report the true value of a prediction, or of many from a CSV file.",
        "trivet serving label 01a20078b2f679378f03478a29de8f60 1",
        _label,
        (
            Argument("prediction", "the prediction", {"nargs": "?"}),
            Argument("value", "the true value or class", {"nargs": "?"}),
            Argument("--file", "a CSV file with the columns prediction and value"),
        ),
    ),
}
