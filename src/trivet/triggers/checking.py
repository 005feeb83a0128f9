"""Refusing triggers that cannot work: which causes take which options, and in which range."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import check_name
from trivet.triggers.branches import check_branch, check_repository
from trivet.triggers.cron import next_time, parse, zone_of
from trivet.triggers.facts import Options, TriggerSet
from trivet.triggers.listings import parse_place

_WATCHED = {
    "alert": "an endpoint",
    "data": "a data set",
    "asset": "a result of a flow such as `features.table`",
    "files": "a folder, a file or a pattern",
    "bucket": "the URL of a bucket",
    "git": "a repository",
    "cron": "an expression such as `0 3 * * 1`",
}
_EVENTS = ("alert", "data", "asset", "files", "bucket", "git")
_CAUSES_OF = {
    "branch": ("git",),
    "paths": ("git",),
    "kinds": ("alert",),
    "min_rows": ("data",),
    "zone": ("cron",),
    "catch_up_s": ("schedule", "cron"),
    "debounce_s": _EVENTS,
    "debounce_at_most_s": _EVENTS,
}
"""Options that only some causes have."""


def make_rule(fields: Mapping[str, Any], options: Mapping[str, Any]) -> TriggerSet:
    """Make a rule of what was given, each field of its type.

    Raises:
        Invalid: An option is unknown, or a field is of another type.
    """
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise Invalid(
            f"a trigger has no option {unknown[0]!r}",
            code="bad-trigger",
            hint=f"It may say: {', '.join(Options.__annotations__)}.",
        )
    check_name(fields["name"], "trigger name")
    try:
        return msgspec.convert({**fields, **options}, TriggerSet)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"trigger {fields['name']!r}: {error}",
            code="bad-trigger",
            hint="docs/reference/settings.md lists every option with its type.",
        ) from error


def check_rule(rule: TriggerSet) -> TriggerSet:
    """Return the rule when it can work.

    Raises:
        Invalid: A field contradicts its cause; the message names it.
    """
    _check_fit(rule)
    _WATCH_CHECKS.get(rule.cause, _check_watched)(rule)
    _check_limits(rule)
    _check_debounce(rule)
    _check_call(rule)
    return rule


def _check_fit(rule: TriggerSet) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(TriggerSet)}
    for name, causes in _CAUSES_OF.items():
        if rule.cause not in causes and getattr(rule, name) != defaults[name]:
            raise _bad(
                rule,
                f"{name} belongs to the cause {' or '.join(causes)}, not to {rule.cause!r}",
                "Leave it out.",
            )
    if rule.cause == "hand" and rule.watch:
        raise _bad(rule, "it fires by hand and watches nothing", "Leave watch out.")


def _check_watched(rule: TriggerSet) -> None:
    if rule.cause in _WATCHED and not rule.watch:
        raise _bad(
            rule, f"it watches nothing; expected {_WATCHED[rule.cause]}", "Name it with watch."
        )


def _check_data(rule: TriggerSet) -> None:
    _check_watched(rule)
    if rule.min_rows < 0:
        raise _bad(rule, "min_rows is below 0", "Leave it out when every version counts.")


def _check_asset(rule: TriggerSet) -> None:
    _check_watched(rule)
    flow, dot, output = rule.watch.partition(".")
    if not (flow and dot and output) or "@" in output or ":" in flow:
        raise _bad(
            rule,
            f"watch is {rule.watch!r}; expected an asset by its name, without a version",
            "For example features.table; `trivet assets` lists them.",
        )


def _check_period(rule: TriggerSet) -> None:
    try:
        period = float(rule.watch)
    except ValueError:
        period = 0.0
    if not 1 <= period < 1e9:
        raise _bad(
            rule,
            "watch is no period; expected seconds, at least 1",
            "A day is 86400. Times of the day are for the cause cron.",
        )


def _check_cron(rule: TriggerSet) -> None:
    _check_watched(rule)
    if next_time(parse(rule.watch), zone_of(rule.zone), datetime.now(UTC)) is None:
        raise _bad(rule, f"the day of {rule.watch!r} never comes", "Look at day and month.")


def _check_files(rule: TriggerSet) -> None:
    _check_watched(rule)
    place = parse_place(rule.watch)
    if rule.cause == "files" and "://" in place.folder:
        raise _bad(rule, "watch is a URL; expected a path", "Buckets have the cause bucket.")
    if rule.cause == "bucket" and "://" not in place.folder:
        raise _bad(
            rule, "watch is no URL; expected s3://, gs:// or az://", "Folders have the cause files."
        )


def _check_git(rule: TriggerSet) -> None:
    _check_watched(rule)
    check_repository(rule.watch)
    check_branch(rule.branch)


_WATCH_CHECKS: dict[str, Callable[[TriggerSet], None]] = {
    "data": _check_data,
    "asset": _check_asset,
    "schedule": _check_period,
    "cron": _check_cron,
    "files": _check_files,
    "bucket": _check_files,
    "git": _check_git,
}


def _check_limits(rule: TriggerSet) -> None:
    least = {"cooldown_s": 0, "per_week": 1, "seconds_per_week": 0, "catch_up_s": 0}
    for name, low in least.items():
        value = getattr(rule, name)
        if value is not None and not low <= value < 1e10:
            raise _bad(
                rule,
                f"{name} is out of range; expected {name} >= {low}",
                "Leave a limit out when there shall be none.",
            )


def _check_debounce(rule: TriggerSet) -> None:
    bounds = [0.0, rule.debounce_s, *([rule.debounce_at_most_s or 0.0])]
    bounds = bounds if rule.debounce_at_most_s is not None else bounds[:2]
    if not all(low <= high < 1e10 for low, high in pairwise(bounds)):
        raise _bad(
            rule,
            "the wait for quiet is out of range; expected 0 <= debounce_s <= debounce_at_most_s",
            "Leave debounce_at_most_s out for ten times debounce_s.",
        )


def _check_call(rule: TriggerSet) -> None:
    module, colon, function = rule.flow.partition(":")
    if not (module and colon and function):
        raise _bad(rule, "flow is no `module:function`", "For example pipeline:train.")
    try:
        msgspec.json.encode(rule.parameters)
    except (TypeError, ValueError) as error:
        raise _bad(
            rule,
            f"a parameter is not JSON-ready: {error}",
            "Pass numbers, text, lists or mappings; data sets by name.",
        ) from error


def _bad(rule: TriggerSet, what: str, hint: str) -> Invalid:
    return Invalid(f"trigger {rule.name!r}: {what}", code="bad-trigger", hint=hint)
