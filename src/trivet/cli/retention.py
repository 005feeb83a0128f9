"""`trivet retention`: for how long deleted runs, artifacts and traces are kept."""

from argparse import Namespace

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.output import table
from trivet.core.errors import Invalid
from trivet.tracking.retention.facts import Best, Rule
from trivet.tracking.retention.rules import Retention
from trivet.workspace.workspace import Workspace


def retention_of(ws: Workspace) -> Retention:
    """Return the rules of a workspace's project."""
    return Retention(ws.stores, ws.scope, ws.tracking.experiments)


def _set(options: Namespace) -> Answer:
    rule = Rule(
        trash_days=options.trash_days,
        artifacts_days=options.artifacts_days,
        traces_days=options.traces_days,
        keep_best=_best(options),
    )
    if rule == Rule():
        raise Invalid(
            "nothing is said about what is kept for how long",
            code="bad-arguments",
            hint="Name at least one option, or lift a rule with `trivet retention unset`.",
        )
    with open_chosen(options) as ws:
        retention_of(ws).set(rule, options.experiment)
    return Answer(rule, f"{options.experiment or 'the project'}: {_words(rule)}")


def _best(options: Namespace) -> Best | None:
    if (options.keep_best is None) != (options.metric is None):
        raise Invalid(
            "--keep-best and --metric belong together",
            code="bad-arguments",
            hint="Write for example --keep-best 5 --metric val/loss --lowest.",
        )
    if options.keep_best is None:
        return None
    return Best(metric=options.metric, runs=options.keep_best, is_lowest=options.lowest)


def _unset(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        retention_of(ws).set(Rule(), options.experiment)
    place = options.experiment or "the project"
    return Answer({"experiment": options.experiment}, f"{place}: the rule is lifted")


def _show(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        standing = retention_of(ws).standing()
    rows = [(one.experiment or "(the project)", _words(one.rule)) for one in standing]
    empty = "everything is kept for good"
    return Answer(standing, table(("experiment", "kept"), rows, empty=empty))


def _words(rule: Rule) -> str:
    parts = {
        "deleted runs": rule.trash_days,
        "artifacts that nothing was registered from": rule.artifacts_days,
        "traces": rule.traces_days,
    }
    words = [f"{what} {days:g} days" for what, days in parts.items() if days is not None]
    if rule.keep_best:
        which = "lowest" if rule.keep_best.is_lowest else "highest"
        best = rule.keep_best
        words.append(f"artifacts of the {best.runs} runs with the {which} {best.metric} for good")
    return ", ".join(words)


_EXPERIMENT = Argument(
    "--experiment", "an experiment's name; the whole project when it is left out", {"default": None}
)
_DAYS = {"type": float, "default": None, "metavar": "DAYS"}
RULE_OPTIONS = (
    Argument("--trash-days", "keep deleted runs and logged models for so many days", _DAYS),
    Argument(
        "--artifacts-days",
        "keep artifacts of runs that nothing was registered from for so many days after their end",
        _DAYS,
    ),
    Argument("--traces-days", "keep traces for so many days", _DAYS),
)
"""For how long things are kept, as `gc` takes it, too."""

VERBS: Group = of_projects(
    {
        "set": Command(
            "Say for how long things are kept; what is not said is kept for good.",
            "trivet retention set --experiment churn --trash-days 30 --artifacts-days 90 "
            "--keep-best 5 --metric val/loss --lowest",
            _set,
            (
                _EXPERIMENT,
                *RULE_OPTIONS,
                Argument(
                    "--keep-best",
                    "keep the artifacts of so many runs, the best by a metric, for good",
                    {"type": int, "default": None, "metavar": "RUNS"},
                ),
                Argument("--metric", "the metric by which runs are best", {"default": None}),
                Argument(
                    "--lowest", "the lowest values are the best ones", {"action": "store_true"}
                ),
            ),
        ),
        "show": Command("Show the rules in force.", "trivet retention show", _show),
        "unset": Command(
            "Lift a rule: what it was about is kept for good.",
            "trivet retention unset --experiment churn",
            _unset,
            (_EXPERIMENT,),
        ),
    }
)
