"""`trivet triggers`: rules that ask for runs."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, table
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
            do=options.flow,
            watch=options.watch,
            cooldown_s=options.cooldown_s,
            per_week=options.per_week,
        )
    rule = trigger.rule
    text = fields([("trigger", rule.name), ("when", rule.cause), ("do", rule.flow)])
    return Answer(trigger, text)


def _fire(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        firing = ws.triggers.fire(options.name, options.reason)
    return Answer(firing, f"asked for a run: {firing.reason}")


def _pause(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        trigger = ws.triggers.pause(options.name, paused=not options.resume)
    return Answer(trigger, "paused" if trigger.rule.paused else "on")


def _firings(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.triggers.firings(options.name)
    rows = [(f.event_time, f.trigger, f.outcome, f.reason) for f in found]
    return Answer(found, table(("when", "trigger", "outcome", "reason"), rows))


_NAME = Argument("name", "the trigger")

VERBS: Group = {
    "list": Command("List triggers.", "trivet triggers list", _list),
    "set": Command(
        "Set a trigger, or change the one of this name.",
        "trivet triggers set retrain alert --watch churn --flow pipeline:train",
        _set,
        (
            _NAME,
            Argument("cause", "why", {"choices": ("alert", "data", "schedule", "hand")}),
            Argument("--watch", "endpoint, data set, or period in seconds", {"default": ""}),
            Argument("--flow", "the flow, `module:function`", {"required": True}),
            Argument("--cooldown-s", "least seconds between", {"type": float, "default": 0.0}),
            Argument("--per-week", "at most so many a week", {"type": int}),
        ),
    ),
    "fire": Command(
        "Ask for a run by hand.",
        'trivet triggers fire retrain --reason "new price list"',
        _fire,
        (_NAME, Argument("--reason", "why", {"default": "asked for"})),
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
        (Argument("--name", "only this trigger's"),),
    ),
}
