"""`trivet experiments`: places for runs that are compared with each other."""

from argparse import Namespace

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.output import table
from trivet.cli.searching import (
    AFTER,
    FILTER,
    ORDER,
    listed,
    position_in,
    token_of,
    with_rest,
)
from trivet.core.catalog import Every
from trivet.core.filtering import parse_filter, parse_order
from trivet.tracking.found import time_of_ms
from trivet.tracking.reporting.experiments import is_in_stage
from trivet.tracking.reporting.searching import experiment_grammar

_MOST_TAGS = 4


def _list(options: Namespace) -> Answer:
    grammar = experiment_grammar()
    where = parse_filter(options.filter, grammar)
    order = [parse_order(text, grammar) for text in listed(options.order)]
    stage = is_in_stage("deleted" if options.deleted else "active")
    after = position_in(options, options.deleted)
    with open_chosen(options) as ws:
        found, after = ws.tracking.experiments.search(
            Every((stage, where)), order=order, after=after, limit=options.limit
        )
    rows = [
        (
            experiment.name,
            experiment.number,
            time_of_ms(experiment.made_ms),
            time_of_ms(experiment.changed_ms),
            ", ".join(f"{k}={v}" for k, v in list(experiment.tags.items())[:_MOST_TAGS]),
        )
        for experiment in found
    ]
    token = token_of(after, options, options.deleted)
    headings = ("experiment", "number", "made (UTC)", "changed (UTC)", "tags")
    text = table(headings, rows, empty="no experiments")
    return Answer({"experiments": found, "after": token}, with_rest(text, token))


VERBS: Group = of_projects(
    {
        "list": Command(
            "List experiments, newest first; a filter speaks of name, tags and times.",
            "trivet experiments list --filter \"name LIKE 'digits%'\"",
            _list,
            (
                FILTER,
                ORDER,
                Argument("--deleted", "those that were deleted", {"action": "store_true"}),
                Argument("--limit", "at most so many", {"type": int, "default": 50}),
                AFTER,
            ),
        ),
    }
)
