"""`trivet users`: people and programs, their passwords, and their roles in each project."""

import getpass
import sys
from argparse import Namespace

from trivet.access.facts import EVERYWHERE
from trivet.access.permissions import ROLES
from trivet.access.users import UserState
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.core.errors import Invalid
from trivet.workspace.workspace import open as open_workspace

_MOST_CHARACTERS = 4096


def _add(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        user = ws.access.users.add(options.name, email=options.email, is_service=options.service)
    return Answer(user, f"{user.name} is a user; give them a role: `trivet users role`")


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        states = ws.access.users.all()
    rows = [(s.user.name, s.user.email or None, _kind(s), _roles(s)) for s in states]
    return Answer(states, table(("user", "email", "signs in", "roles"), rows, empty="no users"))


def _kind(state: UserState) -> str:
    if state.user.is_disabled:
        return "disabled"
    if state.user.issuer:
        return f"at {state.user.issuer}"
    return "with a password" if state.has_password else "with tokens"


def _roles(state: UserState) -> str:
    roles = (f"{role} of {'all' if p == EVERYWHERE else p}" for p, role in state.roles.items())
    return ", ".join(roles) or "none"


def _disable(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        user = ws.access.users.disable(options.name)
    return Answer(user, f"{user.name} is disabled; their tokens and sessions have ended")


def _enable(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        user = ws.access.users.enable(options.name)
    return Answer(user, f"{user.name} is enabled; old tokens and sessions stay ended")


def _password(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        ws.access.users.get(options.name)  # before anybody types
        ws.access.users.set_password(options.name, ask_password(options.name))
    return Answer({"name": options.name}, f"{options.name} has a new password")


def ask_password(name: str, *, is_new: bool = True) -> str:
    """Ask for a password on the terminal, or read one line of the standard input.

    It is never an argument: those are seen by everybody on the machine, and kept by shells.

    Raises:
        Invalid: Nothing was given, or the two that were typed differ.
    """
    if not sys.stdin.isatty():
        given = sys.stdin.readline(_MOST_CHARACTERS).rstrip("\r\n")
    else:
        given = getpass.getpass(f"Password of {name}: ")
        if is_new and given != getpass.getpass("The same again: "):
            raise Invalid("the two passwords differ", code="bad-password")
    if not given:
        raise Invalid(
            "no password was given", code="bad-password", hint="Type it, or send it as a line."
        )
    return given


def _role(options: Namespace) -> Answer:
    project = place_of(options)
    role = None if options.role == "none" else options.role
    with open_workspace(options.project) as ws:
        granted = ws.access.users.grant(options.name, role, project, None)
    where = "all projects" if granted.project == EVERYWHERE else granted.project
    return Answer(granted, f"{granted.user} is {role or 'nothing'} of {where}")


def place_of(options: Namespace) -> str | None:
    """Return the project that the options `--on` and `--everywhere` name; None for the folder's.

    Raises:
        Invalid: Both are given.
    """
    if options.on and options.everywhere:
        raise Invalid("--on and --everywhere exclude each other", code="bad-arguments")
    return EVERYWHERE if options.everywhere else options.on


PLACE = (
    Argument("--on", "the project, by name (default: the folder's own)", {"metavar": "PROJECT"}),
    Argument("--everywhere", "in all projects, those to come too", {"action": "store_true"}),
)
_NAME = Argument("name", "the user")

VERBS: Group = {
    "add": Command(
        "Add a user. They may do nothing until they have a role.",
        "trivet users add anna --email anna@example.org",
        _add,
        (
            _NAME,
            Argument("--email", "their address", {"default": ""}),
            Argument("--service", "a program: tokens and no password", {"action": "store_true"}),
        ),
    ),
    "list": Command("List users with their roles.", "trivet users list", _list),
    "role": Command(
        "Give a user a role in a project, in place of the one before; none takes it away.",
        "trivet users role anna developer --on churn",
        _role,
        (_NAME, Argument("role", "what they may do", {"choices": (*ROLES, "none")}), *PLACE),
    ),
    "password": Command(
        "Set a password, asked for on the terminal or read from the standard input.",
        "trivet users password anna",
        _password,
        (_NAME,),
    ),
    "disable": Command(
        "Disable a user: their tokens and sessions end at once, for good.",
        "trivet users disable anna",
        _disable,
        (_NAME,),
    ),
    "enable": Command(
        "Let a disabled user in again.", "trivet users enable anna", _enable, (_NAME,)
    ),
}
