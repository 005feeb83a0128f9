"""The retention rules of one project: set, lifted, and found for an experiment."""

import math

import msgspec

from trivet.core.errors import Invalid
from trivet.core.facts import HeadMove, Scope, draft, read
from trivet.core.ports import Stores
from trivet.tracking.reporting.experiments import Experiments, check_key
from trivet.tracking.retention.facts import RetentionSet, Rule

_HEAD = "retention/"
_PROJECT = "project"
_MOST_DAYS = 36_500
_MOST_BEST = 10_000


class StandingRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and what it is about."""

    experiment: str | None
    """The experiment's name; None for the project."""
    number: int | None
    rule: Rule


class Retention:
    """The rules of one project.

    Args:
        stores: Where they are.
        scope: Project and actor.
        experiments: What rules are about.
    """

    def __init__(self, stores: Stores, scope: Scope, experiments: Experiments) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._experiments = experiments

    def set(self, rule: Rule, experiment: str | None = None) -> None:
        """Set the rule of an experiment, or of the project; the one before no longer counts.

        Args:
            rule: What is kept for how long; an empty one lifts the rule.
            experiment: The experiment's name; None for what experiments say nothing about.

        Raises:
            NotFound: There is no such experiment.
            Invalid: A number of days or runs is out of range, or a metric is no key.
        """
        check_rule(rule)
        known = None if experiment is None else self._experiments.by_name(experiment)
        fact = draft(
            RetentionSet(experiment=known.id if known else None, rule=rule),
            parents=[known.id] if known else [],
        )
        head = HeadMove(name=_HEAD + (str(known.number) if known else _PROJECT), to=fact.id)
        reason = f"retention of {experiment or 'the project'}"
        self._ledger.commit(self._scope.batch(reason, [fact], heads=[head]))

    def standing(self) -> tuple[StandingRule, ...]:
        """Return all rules in force: the project's first, then by number of experiment."""
        found: list[StandingRule] = []
        for head in self._ledger.heads(self._scope.project, _HEAD):
            rule = read(self._ledger.get(head.target), RetentionSet).rule
            if rule == Rule():
                continue
            place = head.name.removeprefix(_HEAD)
            known = None if place == _PROJECT else self._experiments.get(int(place))
            found.append(
                StandingRule(
                    experiment=known.name if known else None,
                    number=known.number if known else None,
                    rule=rule,
                )
            )
        return tuple(sorted(found, key=lambda one: -1 if one.number is None else one.number))

    def of(self, number: int) -> Rule:
        """Return what counts for an experiment: its own rule, and else the project's."""
        rules = {one.number: one.rule for one in self.standing()}
        return merged(rules.get(number, Rule()), rules.get(None, Rule()))


def merged(own: Rule, outer: Rule) -> Rule:
    """Return a rule with what it does not mention taken from another."""
    fields = {
        field: getattr(outer, field) if getattr(own, field) is None else getattr(own, field)
        for field in Rule.__struct_fields__
    }
    return Rule(**fields)


def check_rule(rule: Rule) -> None:
    """Check a rule.

    Raises:
        Invalid: A number of days or runs is out of range, or a metric is no key.
    """
    for field in ("trash_days", "artifacts_days", "traces_days"):
        days = getattr(rule, field)
        if days is not None and not (math.isfinite(days) and 0 <= days <= _MOST_DAYS):
            raise Invalid(
                f"{field} is {days}; expected a number of days from 0 to {_MOST_DAYS}",
                code="bad-retention",
                hint="Leave it out to keep things for good.",
            )
    if rule.keep_best is not None:
        check_key(rule.keep_best.metric, "metric")
        if not 1 <= rule.keep_best.runs <= _MOST_BEST:
            raise Invalid(
                f"keep_best is {rule.keep_best.runs} runs; expected 1 to {_MOST_BEST}",
                code="bad-retention",
            )
