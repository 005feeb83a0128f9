"""Addresses of servers, as people write them, and reaching what is there."""

import os
from typing import Final
from urllib.parse import urlsplit

import msgspec

from trivet.core.courier import Courier
from trivet.core.errors import Invalid, NotFound, TrivetError, Unsupported
from trivet.core.ids import check_name
from trivet.tracking.syncing.asking import ask
from trivet.tracking.syncing.wire import FORMAT, Welcome
from trivet.workspace import wiring

URL: Final = "TRIVET_URL"
"""The server that `trivet.open()` reports to when it is given no place."""
TOKEN: Final = "TRIVET_TOKEN"  # noqa: S105  # the variable's name
"""The token with which it is asked."""
_MOST_CHARACTERS: Final = 2000


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server is, and which of its projects is meant."""

    server: str
    """`http://host:port`."""
    path: str = ""
    """`/project`, or what stands before it; empty: the server has one."""

    @property
    def url(self) -> str:
        """The address as it is written."""
        return self.server + self.path

    def within(self, project: str | None) -> "Address":
        """Return the address of a project of this server; None: as it is.

        Raises:
            Invalid: It is no name of a project.
        """
        if project is None:
            return self
        path = f"{self.path}/{check_name(project, 'project')}"
        return Address(server=self.server, path=path)

    def covers(self, other: "Address") -> bool:
        """Whether another is the same, or a project of the server that this one is."""
        return self.server == other.server and self.path in {"", other.path}


def is_url(place: object) -> bool:
    """Say whether a place is an address, and no folder."""
    return isinstance(place, str) and place.lower().startswith(("http://", "https://"))


def read_address(text: str) -> Address:
    """Read an address.

    Raises:
        Invalid: It is none, or carries a user or password.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad(f"is none: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise _bad("does not begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise _bad("has a user or password in it; it would stand in logs")
    if parts.query or parts.fragment:
        raise _bad("has a query or a fragment")
    if len(text) > _MOST_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        raise _bad("has spaces or other odd characters, or too many of them")
    name = f"[{host}]" if ":" in host else host
    server = f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")
    return Address(server=server, path=parts.path.rstrip("/"))


def token_of(given: str | None) -> str:
    """Return the token that was given, or that of the environment; empty when there is none.

    Raises:
        Invalid: It has characters that no token has.
    """
    token = (os.environ.get(TOKEN, "") if given is None else given).strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Invalid(  # without the token: errors stand in logs
            "the token has spaces or other odd characters",
            code="bad-token",
            hint=f"Pass the one word that the server printed, or set {TOKEN} to it.",
        )
    return token


def reach(address: Address, token: str, *, timeout_s: float = 60.0) -> tuple[Courier, Welcome]:
    """Return what carries requests to a project of a server, and what the server says of itself.

    A server of one project answers at its root, whatever the project is called in the address.

    Args:
        address: Where the server is.
        token: What it knows.
        timeout_s: How long it may be silent.

    Raises:
        Unavailable: Nobody answers.
        Forbidden: The token is not taken.
        NotFound: The server has no such project.
        Unsupported: It speaks another format.
    """
    courier = wiring.courier(address.url, token, timeout_s=timeout_s)
    try:
        return courier, _greet(courier)
    except NotFound as error:
        courier.close()
        name = address.path.removeprefix("/")
        if not name or "/" in name:
            raise
        at_root = wiring.courier(address.server, token, timeout_s=timeout_s)
        welcome = _greet(at_root)
        if welcome.project != name:
            at_root.close()
            raise NotFound(
                f"the server has no project {name!r}",
                code="no-project",
                hint=f"It has {welcome.project!r}.",
            ) from error
        return at_root, welcome


def _greet(courier: Courier) -> Welcome:
    try:
        welcome = ask(courier, "GET", "/sync", Welcome)
    except TrivetError:
        courier.close()
        raise
    if welcome.format != FORMAT:
        courier.close()
        raise Unsupported(
            f"the server speaks format {welcome.format} of what is sent; this Trivet {FORMAT}",
            code="other-format",
            hint="Install the same version of Trivet here and there.",
        )
    return welcome


def _bad(problem: str) -> Invalid:
    return Invalid(
        f"the address {problem}",
        code="bad-url",
        hint="Write it as http://host:port, or http://host:port/project; the token goes into "
        f"{TOKEN}.",
    )
