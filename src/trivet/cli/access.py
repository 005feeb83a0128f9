"""`trivet access`: tokens, of programs and of users."""

from argparse import Namespace

from trivet.access.facts import EVERYWHERE
from trivet.access.permissions import ROLES, Permission
from trivet.access.service import Grant
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.cli.users import PLACE, place_of
from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid
from trivet.workspace.workspace import open as open_workspace

_ONLY_ONCE = "This is the only time the token is shown."


def _issue(options: Namespace) -> Answer:
    if options.role and options.user:
        raise Invalid(
            "--role and --user exclude each other: a user's token may what its user may",
            code="bad-arguments",
            hint="Narrow it with --only.",
        )
    role = options.role or (None if options.user else "viewer")
    only = None if options.only is None else _permissions(options.only)
    with open_workspace(options.project) as ws:
        token = ws.access.issue(
            options.name,
            role,
            days=options.days,
            project=place_of(options),
            user=options.user,
            only=only,
        )
    data = {"name": options.name, "role": role, "user": options.user, "token": token}
    return Answer(data, f"{token}\n\n{_ONLY_ONCE}")


def _permissions(text: str) -> list[Permission]:
    found = [word.strip() for word in text.split(",")]
    known = [permission.value for permission in Permission]
    wrong = [word for word in found if word not in known]
    if wrong:
        raise Invalid(
            f"only has {wrong[0]!r}, which is no permission",
            code="bad-arguments",
            hint=f"Permissions: {', '.join(known)}.",
        )
    return [Permission(word) for word in found]


def _rotate(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        token = ws.access.rotate(options.name, user=options.user, days=options.days)
    return Answer(
        {"name": options.name, "token": token},
        f"{token}\n\nThe one before has ended. {_ONLY_ONCE}",
    )


def _revoke(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        count = ws.access.revoke(options.name, user=options.user)
    text = "1 token revoked" if count == 1 else f"{count} tokens revoked"
    return Answer({"name": options.name, "revoked": count}, text)


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        grants = ws.access.all_grants() if options.everywhere else ws.access.grants()
    rows = [
        (g.token.name, _rights(g), _place(g), g.token.expires, g.last_used, _state(g))
        for g in grants
    ]
    headings = ("name", "may", "opens", "expires", "last used", "state")
    return Answer(grants, table(headings, rows, empty="no tokens"))


def _rights(grant: Grant) -> str:
    token = grant.token
    rights = f"as {token.user}" if token.user else str(token.role)
    return rights if token.only is None else f"{rights}, only {', '.join(token.only)}"


def _place(grant: Grant) -> str:
    return "all" if grant.project == EVERYWHERE else grant.project


def _state(grant: Grant) -> str:
    if grant.revoked:
        return "revoked"
    return "in force" if grant.token.expires > SystemClock().now() else "expired"


_NAME = Argument("name", "what the token is for")
_USER = Argument("--user", "whose token it is (default: nobody's, a service token)")
_DAYS = Argument("--days", "how long it holds", {"type": float, "default": 90.0})

VERBS: Group = {
    "issue": Command(
        "Issue a token; it is shown once.",
        "trivet access issue shop --role application --days 30",
        _issue,
        (
            _NAME,
            Argument(
                "--role",
                "what a service token may do (default: viewer)",
                {"choices": tuple(ROLES)},
            ),
            _USER,
            Argument("--only", "narrow it to these permissions, such as read,log"),
            _DAYS,
            *PLACE,
        ),
    ),
    "rotate": Command(
        "Replace a token by a new one with the same rights.",
        "trivet access rotate shop --days 30",
        _rotate,
        (
            _NAME,
            _USER,
            Argument(
                "--days",
                "how long it holds (default: until the old one would have ended)",
                {"type": float},
            ),
        ),
    ),
    "revoke": Command(
        "Revoke every token of a name.", "trivet access revoke shop", _revoke, (_NAME, _USER)
    ),
    "list": Command(
        "List tokens (never their text).",
        "trivet access list",
        _list,
        (Argument("--everywhere", "those of all projects and users", {"action": "store_true"}),),
    ),
}
