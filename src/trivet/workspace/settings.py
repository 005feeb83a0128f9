"""Settings: what `trivet.toml` may say, and where the workspace's folders are."""

import re
import tomllib
import unicodedata
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from trivet.access.permissions import RoleName
from trivet.core.disk import put_file
from trivet.core.errors import Invalid, NotFound
from trivet.core.ids import check_name

FILE: Final = "trivet.toml"
FOLDER: Final = ".trivet"

Port = Annotated[int, Meta(ge=0, le=65535)]
"""0 takes any port that is free."""
Mebibytes = Annotated[int, Meta(ge=1, le=4096)]


class UpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[up]`: what `trivet up` starts. All of it listens on loopback alone."""

    port: Port = 7878
    """Port of the API and the web pages."""
    serving_port: Port = 7879
    """Port that answers predictions."""
    runners: Annotated[int, Meta(ge=0, le=64)] = 1
    """How many runner processes execute asked-for runs."""
    tick_s: Annotated[float, Meta(ge=0.1, le=3600.0)] = 5.0
    """Seconds between two looks of monitoring and triggers."""


class ServingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[serving]`: how endpoints answer and log."""

    log_mode: Literal["audit", "monitor"] = "audit"
    """`audit`: a prediction is on disk before it is answered. `monitor`: it never waits; what
    does not fit into the buffer is dropped and counted."""
    buffer_mib: Mebibytes = 16
    """Size of the buffer of mode `monitor`, in MiB."""
    max_body_mib: Mebibytes = 16
    """Largest request body, in MiB."""


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[triggers]`: what triggers may look at."""

    folders: tuple[str, ...] = ()
    """Folders outside the project, absolute, that triggers of the cause `files` may list."""


class WebhooksSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[webhooks]`: where web hooks that are registered may lead."""

    networks: tuple[str, ...] = ()
    """Networks besides the public internet, such as `10.1.0.0/16`; this machine: `127.0.0.0/8`."""


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sign_in]`: a provider of OpenID Connect at which people sign in."""

    issuer: str = ""
    """Its address, exactly as it writes it; empty: there is none, and people use passwords."""
    client_id: str = ""
    """Who this server is to it."""
    secret_env: str = ""
    """The variable that holds the client's secret; empty: it has none."""
    scopes: str = "openid profile email"
    """What is asked for, words with spaces between; `openid` is among them."""
    name_claim: str = "preferred_username"
    """The claim from which users get their names, when they come for the first time."""
    groups_claim: str = "groups"
    """The claim that holds a person's groups."""
    roles: dict[str, dict[str, RoleName]] = {}
    """By group, then by project (`*`: all), the role: `admins = { "*" = "owner" }`."""
    skew_s: Annotated[float, Meta(ge=0.0, le=300.0)] = 60.0
    """How far apart the provider's clock and this machine's may be, in seconds."""


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[registry]`: what may be registered."""

    elsewhere: bool = False
    """Whether versions that MLflow's clients register may have files in nobody's artifacts:
    addresses such as `s3://bucket/model`, and runs that are not known here."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `trivet.toml`."""

    project: str
    """The project's name: a-z, 0-9, '.', '-', '_'."""
    flow: str = ""
    """The flow that `trivet run` runs when none is named, `module:function`."""
    model: str = ""
    """The registry name of what the flow trains; the project's name when empty."""
    output: str = "model"
    """Which of the flow's outputs is the candidate."""
    gate: str = "gate.toml"
    """The checklist that a candidate must pass, a file in the project's folder. Empty: the flow
    trains nothing that is to be judged."""
    endpoint: str = ""
    """The endpoint that serves the model; the project's name when empty."""
    up: UpSettings = UpSettings()
    serving: ServingSettings = ServingSettings()
    triggers: TriggerSettings = TriggerSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    sign_in: SignInSettings = SignInSettings()
    registry: RegistrySettings = RegistrySettings()


def find_project(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, that holds a `trivet.toml`.

    Raises:
        NotFound: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise NotFound(
        f"no {FILE} here or in any folder above",
        code="no-project",
        hint="Make this folder a project: `trivet init .`, or a new one: `trivet init NAME`.",
    )


def name_project(folder: Path) -> Path | None:
    """Make a folder a project that has nothing but a name, unless it lies in one.

    Returns:
        The settings that were written; None when there is a project.
    """
    if any((place / FILE).is_file() for place in (folder, *folder.parents)):
        return None
    settings = folder / FILE
    lines = [
        "# What Trivet needs to know about this project. `trivet init .` adds a first pipeline.",
        f'project = "{name_from(folder.name)}"',
        'gate = ""',
    ]
    put_file(settings, ("\n".join(lines) + "\n").encode())
    return settings


def name_from(folder: str) -> str:
    """Return a name for a project from that of its folder."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain)[:64].strip(".-_") or "project"


def read_settings(folder: Path) -> Settings:
    """Read a project's settings.

    Raises:
        NotFound: The folder has no `trivet.toml`.
        Invalid: The file is no TOML, or a setting is unknown or of the wrong type.
    """
    path = folder / FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = msgspec.convert(table, Settings)
    except FileNotFoundError as error:
        raise NotFound(
            f"{folder} holds no {FILE}",
            code="no-project",
            hint="Make it a project: run `trivet init .` there.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise unreadable(FILE, error, Settings) from error
    check_name(settings.project, "project")
    if settings.up.port and settings.up.port == settings.up.serving_port:
        raise Invalid(
            f"up.port and up.serving_port are both {settings.up.port}; expected two ports",
            code="bad-settings",
            hint="Give the API and serving a port each in trivet.toml.",
        )
    relative = [folder for folder in settings.triggers.folders if not Path(folder).is_absolute()]
    if relative:
        raise Invalid(
            f"triggers.folders has {relative[0]!r}; expected absolute paths",
            code="bad-settings",
            hint="Folders of the project need no leave.",
        )
    for network in settings.webhooks.networks:
        _check_network(network)
    _check_sign_in(settings.sign_in)
    return msgspec.structs.replace(
        settings,
        model=settings.model or settings.project,
        endpoint=settings.endpoint or settings.project,
    )


def _check_sign_in(sign_in: SignInSettings) -> None:
    wrong = ""
    if sign_in.issuer and not sign_in.client_id:
        wrong = "sign_in.issuer is there and sign_in.client_id is not"
    elif "openid" not in sign_in.scopes.split():
        wrong = "sign_in.scopes has no 'openid'"
    elif any(r == "owner" and p != "*" for m in sign_in.roles.values() for p, r in m.items()):
        wrong = "sign_in.roles makes somebody owner of one project"
    if wrong:
        raise Invalid(
            f"{wrong}; expected otherwise",
            code="bad-settings",
            hint="docs/how-to/access.md shows a whole table.",
        )


def _check_network(network: str) -> None:
    try:
        ip_network(network)
    except ValueError as error:
        raise Invalid(
            f"webhooks.networks has {network!r}, which is no network: {error}",
            code="bad-settings",
            hint="Write it with the length of its prefix, such as 10.1.0.0/16.",
        ) from error


def unreadable(name: str, error: Exception, kind: type[msgspec.Struct]) -> Invalid:
    """Return the error for a settings file that cannot be read; its hint lists what it may say."""
    is_known = isinstance(error, msgspec.ValidationError)
    return Invalid(
        f"{name} cannot be read: {error}",
        code="bad-settings",
        hint=f"It may say: {', '.join(setting_names(kind))}."
        if is_known
        else "Text is quoted, tables begin with [name], comments with #.",
    )


def setting_names(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Return the names of all settings of a file, those of its tables with a dot."""
    names: list[str] = []
    for field in msgspec.structs.fields(kind):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            names += setting_names(inner, f"{prefix}{field.name}.")
        else:
            names.append(prefix + field.name)
    return names
