"""`notify.toml`: whom to tell, of what, and how."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from trivet.core.errors import Invalid
from trivet.core.ids import check_name
from trivet.workspace.settings import setting_names

FILE = "notify.toml"
EVENTS = ("finished", "failed", "approval")

Event = Literal["finished", "failed", "approval"]
Seconds = Annotated[float, Meta(ge=0.1, le=60.0)]


class _Settings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all kinds have."""

    events: tuple[Event, ...] = EVENTS
    """What it is told of."""
    flows: tuple[str, ...] = ()
    """Only runs of these flows; all when empty."""
    timeout_s: Seconds = 10.0
    """How long one attempt may take in all."""


class WebhookSettings(_Settings, frozen=True, kw_only=True, tag="webhook"):
    """`kind = "webhook"`."""

    url: str = ""
    url_env: str = ""
    """The variable that holds the address, where the address itself is a secret."""
    secret_env: str = ""
    """The variable that holds the secret which messages are signed with."""
    body: Literal["json", "slack"] = "json"


class SmtpSettings(_Settings, frozen=True, kw_only=True, tag="smtp"):
    """`kind = "smtp"`."""

    host: str
    sender: str
    to: Annotated[tuple[str, ...], Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_env: str = ""
    """The variable that holds the password."""


class CommandSettings(_Settings, frozen=True, kw_only=True, tag="command"):
    """`kind = "command"`."""

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The program and its arguments."""


NotifierSettings = WebhookSettings | SmtpSettings | CommandSettings


class NotifyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `notify.toml`: a table `[notifiers.<name>]` for each."""

    notifiers: dict[str, NotifierSettings] = {}


def read_notify_file(folder: Path) -> NotifyFile:
    """Read `notify.toml`; nobody is told when the project has none.

    Raises:
        Invalid: It cannot be read, says something unknown, or names no address, or two.
    """
    try:
        table = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
        found = msgspec.convert(table, NotifyFile)
    except FileNotFoundError:
        return NotifyFile()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "Text is quoted, tables begin with [notifiers.NAME], comments with #."
        raise Invalid(f"{FILE} cannot be read: {error}", code="bad-settings", hint=hint) from error
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{FILE} cannot be read: {error}", code="bad-settings", hint=_what_it_may_say()
        ) from error
    for name, settings in found.notifiers.items():
        check_name(name, "notifier")
        _check(name, settings)
    return found


def secret_of(variable: str, name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the value of a variable that a notifier names; empty text for none.

    Raises:
        Invalid: The variable is not set.
    """
    if not variable:
        return ""
    value = environment.get(variable, "")
    if not value:
        raise Invalid(
            f"notifier {name!r} needs the environment variable {variable}, which is not set",
            code="no-secret",
            hint=f"Set {variable} where `trivet up` and `trivet run` are started, then "
            "`trivet notify retry KEY`.",
        )
    return value


def _check(name: str, settings: NotifierSettings) -> None:
    if isinstance(settings, WebhookSettings) and bool(settings.url) == bool(settings.url_env):
        raise Invalid(
            f"notifier {name!r} in {FILE} has {'both' if settings.url else 'neither'} url and "
            "url_env; expected one of them",
            code="bad-settings",
            hint='Write url = "https://...", or url_env = "NAME_OF_A_VARIABLE" for a secret one.',
        )
    if isinstance(settings, WebhookSettings) and "@" in _netloc(settings.url):
        raise Invalid(
            f"notifier {name!r} in {FILE} has a user or password in its url, which is not sent",
            code="bad-settings",
            hint="Put what proves you into the path or the query, as the service gives it to you, "
            "and keep the address in a variable: url_env.",
        )
    if isinstance(settings, SmtpSettings) and bool(settings.user) != bool(settings.password_env):
        raise Invalid(
            f"notifier {name!r} in {FILE} has one of user and password_env; expected both or none",
            code="bad-settings",
            hint='Write user = "...", and the name of the variable with its password.',
        )


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""  # no address at all, which is said when it is used


def _what_it_may_say() -> str:
    kinds = {"webhook": WebhookSettings, "smtp": SmtpSettings, "command": CommandSettings}
    said = "; ".join(f'kind = "{k}": {", ".join(setting_names(s))}' for k, s in kinds.items())
    return f"A table [notifiers.NAME] may say {said}."
