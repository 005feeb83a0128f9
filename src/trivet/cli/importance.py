"""`trivet importance`: which parameters mattered for a metric."""

from argparse import Namespace

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import table, write_page
from trivet.cli.searching import FILTER, listed
from trivet.cli.sparks import bar
from trivet.drawing.words import readable
from trivet.workspace.importance_page import render_importance, summary_of
from trivet.workspace.mattering import MetricImportance

_BAR = 24
_MOST_LEFT_OUT = 12


def _importance(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        asked = ws.importance(
            options.metric,
            filter=options.filter,
            experiment=options.experiment,
            parameters=listed(options.params) or None,
            by_rank=options.ranks,
            seed=options.seed,
        )
    text = _describe(asked)
    if options.html:
        write_page(options.html, render_importance(asked))
        text += f"\n\nwritten to {options.html}"
    return Answer(asked, text)


def _describe(asked: MetricImportance) -> str:
    found = asked.found
    rows = [
        (
            " or ".join(one.names),
            bar(one.share, _BAR),
            f"{one.share:.2f}",
            f"{one.low:.2f} to {one.high:.2f}",
            f"{one.p_value:.2f}",
            "" if one.is_clear else "not told from chance",
        )
        for one in found.parameters
    ]
    headings = ("parameter", "", "share", "95 %", "p", "")
    left = [f"{name} ({reason})" for name, reason in found.left_out.items()]
    lines = [summary_of(asked), "", table(headings, rows)]
    lines += [f"mind: {note}" for note in found.notes]
    if left:
        more = f", and {len(left) - _MOST_LEFT_OUT} more" if len(left) > _MOST_LEFT_OUT else ""
        lines.append(f"left out: {'; '.join(left[:_MOST_LEFT_OUT])}{more}")
    return readable("\n".join(lines))


importance = Command(
    "Say how much each parameter mattered for a metric, over the runs of a search.",
    "trivet importance --metric loss --filter \"experiment = 'digits'\"",
    _importance,
    (
        Argument("--metric", "the metric, such as val/loss", {"required": True}),
        FILTER,
        Argument("--experiment", "only runs of this experiment"),
        Argument(
            "--params",
            "only these parameters: lr,depth (default: all that vary)",
            {"action": "append", "default": []},
        ),
        Argument(
            "--ranks",
            "look at the order of the metric's values alone: a few extreme ones cannot decide",
            {"action": "store_true"},
        ),
        Argument("--seed", "makes the answer repeatable", {"type": int, "default": 0}),
        Argument("--html", "write a page to this file"),
    ),
    of_projects=True,
)
