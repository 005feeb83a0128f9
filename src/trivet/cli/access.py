"""`trivet access`: tokens and roles."""

from argparse import Namespace

from trivet.access.permissions import ROLES
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.workspace.workspace import open as open_workspace


def _issue(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        token = ws.access.issue(options.name, options.role, days=options.days)
    text = f"{token}\n\nThis is the only time the token is shown."
    return Answer({"name": options.name, "role": options.role, "token": token}, text)


def _revoke(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        count = ws.access.revoke(options.name)
    return Answer({"name": options.name, "revoked": count}, f"{count} tokens revoked")


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        grants = ws.access.grants()
    rows = [
        (g.token.name, g.token.role, g.token.expires, "revoked" if g.revoked else "in force")
        for g in grants
    ]
    return Answer(grants, table(("name", "role", "expires", "state"), rows, empty="no tokens"))


_NAME = Argument("name", "who uses the token")

VERBS: Group = {
    "issue": Command(
        "Issue a service token; it is shown once.",
        "trivet access issue shop --role application --days 30",
        _issue,
        (
            _NAME,
            Argument("--role", "what it may do", {"choices": tuple(ROLES), "default": "viewer"}),
            Argument("--days", "how long it holds", {"type": float, "default": 90.0}),
        ),
    ),
    "revoke": Command(
        "Revoke every token of a name.", "trivet access revoke shop", _revoke, (_NAME,)
    ),
    "list": Command("List tokens (never their text).", "trivet access list", _list),
}
