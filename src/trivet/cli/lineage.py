"""`trivet lineage`: what something came from, and what came from it."""

from argparse import Namespace
from functools import partial

from trivet.cli.choosing import any_run_of, open_chosen
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import write_page
from trivet.core.errors import Invalid, NotFound
from trivet.workspace.lineage.page import lineage_page
from trivet.workspace.lineage.tree import draw_tree
from trivet.workspace.lineage.walking import MOST_NODES, trace_lineage
from trivet.workspace.workspace import Workspace


def _lineage(options: Namespace) -> Answer:
    if options.up and options.down:
        raise Invalid(
            "--up and --down are given; expected one of them, or none for both",
            code="bad-arguments",
            hint="Leave both out.",
        )
    direction = "up" if options.up else "down" if options.down else "both"
    with open_chosen(options) as ws:
        trace = partial(
            trace_lineage, ws.stores, ws.scope.project, direction=direction, limit=options.limit
        )
        try:
            found = trace(options.ref)
        except NotFound as unknown:
            found = trace(_run_meant(ws, options.ref, unknown))
    text = draw_tree(found)
    if options.html:
        write_page(options.html, lineage_page(found))
        text += f"\n\nwritten to {options.html}"
    return Answer(found, text)


def _run_meant(ws: Workspace, word: str, unknown: NotFound) -> str:
    """Return the run that a word means as it does elsewhere: `last`, a name, an end of a name."""
    try:
        return any_run_of(ws, word)
    except (NotFound, Invalid):
        raise unknown from None


lineage = Command(
    "Show what something came from, and what came from it: data, code, runs, models, use.",
    "trivet lineage churn:3 --down",
    _lineage,
    (
        Argument(
            "ref",
            "a model (`churn:3`), a data set, a run (or its name, or `last`), a logged model, "
            "a prediction, or any identifier",
        ),
        Argument("--up", "only what it came from", {"action": "store_true"}),
        Argument("--down", "only what came from it", {"action": "store_true"}),
        Argument("--html", "draw it on a page: this file", {"metavar": "FILE"}),
        Argument("--limit", "at most so many boxes each way", {"type": int, "default": MOST_NODES}),
    ),
    of_projects=True,
)
