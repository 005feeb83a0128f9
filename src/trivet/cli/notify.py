"""`trivet notify`: messages about runs and models, and whether they arrived."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.workspace.notifying import messages, retry_message, try_notifier
from trivet.workspace.workspace import open as open_workspace

_WORDS = {"done": "arrived", "ready": "waiting", "running": "on its way", "failed": "GIVEN UP"}


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = messages(ws, options.limit)
    if options.failed:
        found = tuple(item for item in found if item.state == "failed")
    rows = [
        (item.key, _WORDS.get(item.state, item.state), item.attempts, item.title, item.error)
        for item in found
    ]
    headings = ("key", "state", "attempts", "message", "trouble")
    return Answer(found, table(headings, rows, empty="no messages"))


def _test(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        message = try_notifier(ws, options.name)
    return Answer(message, f"{options.name} took the message {message.key}")


def _retry(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        sent = retry_message(ws, options.key)
    return Answer(sent, f"{options.key} is sent again by `trivet up`, or after the next run")


VERBS: Group = {
    "list": Command(
        "List messages, newest first: arrived, waiting, or given up and why.",
        "trivet notify list --failed",
        _list,
        (
            Argument("--failed", "only those that were given up", {"action": "store_true"}),
            Argument("--limit", "at most so many", {"type": int, "default": 20}),
        ),
    ),
    "test": Command(
        "Send a test message at once, past the queue.",
        "trivet notify test team",
        _test,
        (Argument("name", "the notifier's name in notify.toml"),),
    ),
    "retry": Command(
        "Send a message that was given up once more, under the same key.",
        "trivet notify retry failed-01a20078b2f679378f03478a29de8f60-team",
        _retry,
        (Argument("key", "the message's key, as `trivet notify list` shows it"),),
    ),
}
