"""`trivet monitoring`: windows and alerts."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.monitoring.facts import Alert
from trivet.workspace.workspace import open as open_workspace


def _look(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        looked = ws.monitoring.look()
    text = (
        f"{len(looked.windows)} windows closed, {len(looked.alerts)} alerts raised, "
        f"{len(looked.resolved)} resolved, {len(looked.decisions)} rollout decisions"
    )
    return Answer(looked, text)


def _windows(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.monitoring.windows(options.endpoint or ws.settings.endpoint, options.limit)
    rows = [
        (
            window.start,
            window.predictions,
            window.labelled,
            ", ".join(f"{name} {f.value:.4f}" for name, f in window.figures.items()),
        )
        for window in found
    ]
    text = table(("window", "predictions", "labelled", "figures"), rows, empty="no windows yet")
    return Answer(found, text)


def _alerts(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.monitoring.alerts(options.endpoint, options.limit)
    text = "\n\n".join(describe_alert(identifier, alert) for identifier, alert in found)
    return Answer([{"id": i, "alert": a} for i, a in found], text or "no alerts")


def _resolve(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        resolved = ws.monitoring.resolve(options.alert, options.how)
    return Answer(resolved, "resolved")


def describe_alert(identifier: str, alert: Alert) -> str:
    """Describe an alert for people."""
    lines = [f"{alert.event_time:%Y-%m-%d}  {alert.summary}", f"  alert {identifier}"]
    lines += [f"  likely: {cause.summary}" for cause in alert.causes]
    lines.append(f"  next: {alert.action}")
    return "\n".join(lines)


_ENDPOINT = Argument("--endpoint", "the endpoint")
_LIMIT = Argument("--limit", "at most so many", {"type": int, "default": 30})

VERBS: Group = {
    "look": Command("Close every window that is due.", "trivet monitoring look", _look),
    "windows": Command(
        "List closed windows, newest first.",
        "trivet monitoring windows --limit 7",
        _windows,
        (_ENDPOINT, _LIMIT),
    ),
    "alerts": Command(
        "List alerts with their likely causes, newest first.",
        "trivet monitoring alerts",
        _alerts,
        (_ENDPOINT, _LIMIT),
    ),
    "resolve": Command(
        "End an alert, in words.",
        "trivet monitoring resolve 01a20078b2f679378f03478a29de8f60 'the feed was repaired'",
        _resolve,
        (Argument("alert", "the alert's identifier"), Argument("how", "how it ended")),
    ),
}
