"""`trivet import`: runs of other stores come in."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.output import fields, size
from trivet.core.moving import Holdings
from trivet.moving.facts import Counts, Moved
from trivet.moving.wishes import Wishes
from trivet.workspace import holdings

_EVERY_S = 2.0
_SHOWN = 10


def _mlflow(options: Namespace) -> Answer:
    roots = [Path(folder) for folder in options.artifacts]
    return _bring(
        options, lambda: holdings.mlflow_holdings(options.source, roots), options.experiment
    )


def _tensorboard(options: Namespace) -> Answer:
    folder = Path(options.logdir)
    return _bring(options, lambda: holdings.tensorboard_holdings(folder, options.experiment))


def _wandb(options: Namespace) -> Answer:
    path = Path(options.path)
    return _bring(options, lambda: holdings.wandb_holdings(path, options.experiment))


def _bring(
    options: Namespace, open_holdings: Callable[[], Holdings], experiments: Sequence[str] = ()
) -> Answer:
    wishes = Wishes(
        experiments=tuple(dict.fromkeys(experiments)),
        is_dry=options.dry_run,
        with_files=not options.no_artifacts,
        again=options.again,
    )
    with open_chosen(options) as ws:
        held = open_holdings()
        try:
            moved = ws.moving.bring(held, wishes, progress())
        finally:
            held.close()
    return Answer(moved, describe(moved, "imported"))


def progress() -> Callable[[Counts], None]:
    """Return what tells on stderr how far it is, every two seconds."""
    said = time.monotonic()

    def tell(counts: Counts) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _EVERY_S:
            said = now
            traces = f"{counts.traces:,} traces, " if counts.traces else ""
            print(
                f"{counts.runs:,} runs, {counts.points:,} points, {traces}{counts.files:,} files "
                f"({size(counts.size_bytes)})",
                file=sys.stderr,
                flush=True,
            )

    return tell


def describe(moved: Moved, done: str) -> str:
    """Describe for people what was moved."""
    counts = moved.counts
    what = "would be " if moved.is_dry else ""
    pairs: list[tuple[str, object]] = [
        ("from", moved.source),
        ("to", moved.target),
        ("experiments", f"{counts.experiments:,}"),
        ("runs", _how_many(counts.runs_new, counts.runs_changed, counts.runs_same, what)),
    ]
    if counts.traces:
        traces = (counts.traces_new, counts.traces_changed, counts.traces_same)
        pairs.append(("traces", _how_many(*traces, what)))
    pairs += [
        ("logged models", f"{counts.logged_models:,}"),
        ("registered", f"{counts.registered_models:,} names, {counts.versions:,} new versions"),
    ]
    if not moved.is_dry:
        pairs.append(("points", f"{counts.points:,}"))
        pairs.append(("files", f"{counts.files:,}, {size(counts.size_bytes)}"))
    lines = [fields(pairs)]
    if moved.left:
        lines += ["", f"not copied: the files of {len(moved.left):,}"]
        lines += [f"  {one.owner}: {one.reason} ({one.location})" for one in moved.left[:_SHOWN]]
        if len(moved.left) > _SHOWN:
            lines.append(f"  and {len(moved.left) - _SHOWN:,} more: see --json")
    if moved.remarks:
        lines += ["", *(f"note: {remark}" for remark in moved.remarks[:_SHOWN])]
        if len(moved.remarks) > _SHOWN:
            lines.append(f"and {len(moved.remarks) - _SHOWN:,} more notes: see --json")
    lines += ["", "nothing was written" if moved.is_dry else f"{done}; again, it moves what is new"]
    return "\n".join(lines)


def _how_many(new: int, changed: int, same: int, what: str) -> str:
    return f"{new:,} {what}new, {changed:,} {what}brought up to date, {same:,} as they were"


_INTO = Argument(
    "--experiment",
    "the experiment to import into (default: the name of the folder or project)",
    {"default": "", "metavar": "NAME"},
)
_COMMON = (
    Argument("--dry-run", "only say what there is to import", {"action": "store_true"}),
    Argument("--again", "look again at runs that did not change, too", {"action": "store_true"}),
    Argument("--no-artifacts", "leave files where they are", {"action": "store_true"}),
)

VERBS: Group = of_projects(
    {
        "mlflow": Command(
            "Import experiments, runs, points, files and models of MLflow; again, what is new.",
            "trivet import mlflow sqlite:///mlflow.db",
            _mlflow,
            (
                Argument(
                    "source",
                    "sqlite:///FILE, postgresql://..., a folder mlruns, or http://SERVER",
                ),
                Argument(
                    "--experiment",
                    "only the experiment of this name; may be repeated",
                    {"action": "append", "default": [], "metavar": "NAME"},
                ),
                *_COMMON,
                Argument(
                    "--artifacts",
                    "a folder below which files may be read, besides those of SOURCE; repeatable",
                    {"action": "append", "default": [], "metavar": "FOLDER"},
                ),
            ),
        ),
        "tensorboard": Command(
            "Import runs of TensorBoard's event files: numbers, pictures, sounds, texts, hparams.",
            "trivet import tensorboard runs --experiment digits",
            _tensorboard,
            (
                Argument("logdir", "the folder that TensorBoard is given as --logdir"),
                _INTO,
                *_COMMON,
            ),
        ),
        "wandb": Command(
            "Import runs that W&B's client kept in folders, or a table of runs or steps.",
            "trivet import wandb project.csv --experiment churn",
            _wandb,
            (
                Argument("path", "the folder wandb, or a file .csv, .json, .jsonl or .parquet"),
                _INTO,
                *_COMMON,
            ),
        ),
    }
)
