"""`trivet triggers`: rules that ask for runs."""

from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime
from typing import cast, get_args

from trivet.cli.choosing import flow_named
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, table
from trivet.cli.pipelines import parse_parameters
from trivet.core.errors import TrivetError
from trivet.pipelines.lifecycle import name_runs
from trivet.triggers.facts import AlertKind, Cause, Options, Trigger, TriggerSet
from trivet.workspace.backfilling import check_flow, has_daemon
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.triggers.all()
    rows = [
        (t.rule.name, t.rule.cause, t.rule.watch, t.rule.flow, "paused" if t.rule.paused else "on")
        for t in found
    ]
    return Answer(found, table(("trigger", "cause", "watches", "flow", "state"), rows))


def _set(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        trigger = ws.triggers.when(
            options.name,
            options.cause,
            do=flow_named(ws, options.flow),
            watch=options.watch or "",
            parameters=parse_parameters(options.set or []),
            **_given(options),
        )
        return _shown(ws, trigger)


def _edit(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        trigger = ws.triggers.edit(
            options.name,
            do=options.flow and flow_named(ws, options.flow),
            watch=options.watch,
            parameters=None if options.set is None else parse_parameters(options.set),
            **_given(options),
        )
        return _shown(ws, trigger)


def _given(options: Namespace) -> Options:
    """Return the options that were given; those that were not keep their default or their value."""
    found = {name: getattr(options, name) for name in Options.__annotations__}
    return cast("Options", {name: value for name, value in found.items() if value is not None})


def _shown(ws: Workspace, trigger: Trigger) -> Answer:
    rule = trigger.rule
    pairs: list[tuple[str, object]] = [("trigger", rule.name), ("when", rule.cause)]
    pairs += [("watches", rule.watch or None), ("do", rule.flow)]
    if rule.cause == "cron":
        pairs += [("zone", rule.zone), ("next", _at(*ws.triggers.next_times(rule.name, 1)))]
    notes = [f"note: {note}" for note in _missing(ws, rule)]
    return Answer(trigger, "\n".join([fields(pairs), *notes]))


def _missing(ws: Workspace, rule: TriggerSet) -> Iterator[str]:
    """Say what a trigger asks for and is not there: it may come later, or be a slip of the pen."""
    try:
        check_flow(ws, rule.flow, rule.parameters)
    except TrivetError as error:
        yield f"{error.message}. {error.hint}"
    except Exception as error:  # noqa: BLE001  # a user's module, imported
        yield f"{rule.flow} cannot be imported now: {type(error).__name__}: {error}"
    own = name_runs(rule.flow.partition(":")[2])
    if rule.cause == "asset" and rule.watch.partition(".")[0] == own:
        yield f"{rule.flow} makes what this trigger watches: each new version asks for the next run"
    look = {"data": ws.data.latest, "asset": ws.pipelines.asset_versions}.get(rule.cause)
    if look is not None:
        try:
            look(rule.watch)
        except TrivetError as error:
            yield f"{error.message}. {error.hint}"


def _at(*times: datetime) -> str:
    return "\n".join(f"{at:%a %Y-%m-%d %H:%M:%S %Z}" for at in times)


def _fire(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        firing = ws.triggers.fire(options.name, options.reason, key=options.key)
        later = "" if has_daemon(ws) else "; it waits for a runner: `trivet up`"
    return Answer(firing, f"asked for a run: {firing.reason}{later}")


def _wake(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        woken = ws.triggers.wake(options.name)
    return Answer(woken, f"{woken.trigger} is looked at soon, if `trivet up` runs")


def _look(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.triggers.look()
    rows = [(f.trigger, f.outcome, f.reason) for f in found]
    return Answer(found, table(("trigger", "outcome", "reason"), rows, empty="nothing new"))


def _pause(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        trigger = ws.triggers.pause(options.name, paused=not options.resume)
    return Answer(trigger, "paused" if trigger.rule.paused else "on")


def _remove(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        trigger = ws.triggers.remove(options.name, options.reason)
    return Answer(trigger, f"removed {trigger.rule.name}; its past stays on record")


def _firings(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.triggers.firings(options.name, limit=options.limit)
    rows = [(f.event_time, f.trigger, f.outcome, f.reason) for f in found]
    return Answer(found, table(("when", "trigger", "outcome", "reason"), rows))


def _explain(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        told = ws.triggers.explain(options.name)
    pairs = [
        ("now", "would fire" if told.would_fire else "would not fire"),
        ("because", told.reason),
        ("next due", told.next),
        ("fired last", told.fired_last),
        ("this week", told.fired_this_week),
    ]
    return Answer(told, fields(pairs))


def _next(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.triggers.next_times(options.name, options.count)
    return Answer(found, _at(*found))


_NAME = Argument("name", "the trigger")
_WHAT = (
    Argument("--watch", "what it looks at: endpoint, data, asset, folder, URL, period, expression"),
    Argument("--flow", "the flow, `module:function` (default: the project's)"),
    Argument(
        "--set",
        "a parameter of the flow, name=value; may be repeated",
        {"action": "append", "metavar": "NAME=VALUE"},
    ),
    Argument("--branch", "git: the branch (default: what is checked out there)"),
    Argument(
        "--path",
        "git: only changes below it count; may be repeated",
        {"action": "append", "dest": "paths"},
    ),
    Argument(
        "--kind",
        "alert: only of this kind; may be repeated",
        {"action": "append", "dest": "kinds", "choices": get_args(AlertKind)},
    ),
    Argument("--min-rows", "data: least growth in rows", {"type": int}),
    Argument("--zone", "cron: time zone, such as Europe/Berlin (default: UTC)"),
    Argument("--catch-up-s", "leave a time out that is longer past", {"type": float}),
    Argument("--debounce-s", "seconds of quiet to wait for", {"type": float}),
    Argument("--debounce-at-most-s", "longest wait for quiet", {"type": float}),
    Argument("--cooldown-s", "least seconds between two firings", {"type": float}),
    Argument("--per-week", "at most so many firings a week", {"type": int}),
    Argument("--seconds-per-week", "at most so many seconds of runs a week", {"type": float}),
)

VERBS: Group = {
    "list": Command("List triggers.", "trivet triggers list", _list),
    "set": Command(
        "Set a trigger, or set the one of this name anew.",
        "trivet triggers set nightly cron --watch '0 3 * * *' --zone Europe/Berlin",
        _set,
        (_NAME, Argument("cause", "why", {"choices": get_args(Cause)}), *_WHAT),
    ),
    "edit": Command(
        "Change what is given of a trigger; the rest stays.",
        "trivet triggers edit nightly --per-week 3",
        _edit,
        (_NAME, *_WHAT),
    ),
    "remove": Command(
        "Remove a trigger; its past stays on record.",
        'trivet triggers remove nightly --reason "the feed has ended"',
        _remove,
        (_NAME, Argument("--reason", "why", {"required": True})),
    ),
    "fire": Command(
        "Ask for a run by hand.",
        'trivet triggers fire retrain --reason "new price list"',
        _fire,
        (
            _NAME,
            Argument("--reason", "why", {"default": "asked for"}),
            Argument("--key", "names the request: a second one of this key asks for nothing"),
        ),
    ),
    "wake": Command(
        "Have the watcher look at a trigger now instead of at its next tick.",
        "trivet triggers wake arrivals",
        _wake,
        (_NAME,),
    ),
    "look": Command(
        "Look once at all triggers, as the watcher does all the time.",
        "trivet triggers look",
        _look,
    ),
    "pause": Command(
        "Pause a trigger, or let it go on.",
        "trivet triggers pause retrain",
        _pause,
        (_NAME, Argument("--resume", "let it go on", {"action": "store_true"})),
    ),
    "firings": Command(
        "List what triggers decided and why, newest first.",
        "trivet triggers firings",
        _firings,
        (
            Argument("--name", "only this trigger's"),
            Argument("--limit", "how many", {"type": int, "default": 100}),
        ),
    ),
    "explain": Command(
        "Say what a trigger would do right now, and why; record nothing.",
        "trivet triggers explain retrain",
        _explain,
        (_NAME,),
    ),
    "next": Command(
        "Say when a schedule is due next, in its time zone.",
        "trivet triggers next nightly",
        _next,
        (_NAME, Argument("--count", "how many times", {"type": int, "default": 5})),
    ),
}
