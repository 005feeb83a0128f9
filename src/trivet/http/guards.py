"""The guards: Host, Origin, fetch metadata, token and body size, before any handler runs.

A server on loopback is reachable from every page open in the user's browser. So nothing is
inferred from the network: Host and Origin must be on an exact list (which defeats DNS rebinding),
cross-site fetches are turned away whatever they carry, and a token is always needed.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Forbidden, Invalid

RawHeaders = Iterable[tuple[bytes, bytes]]

COOKIE: Final = b"trivet_session"
ANONYMOUS: Final = Principal(name="anonymous", role="application")
_SAME: Final = frozenset({b"same-origin", b"none"})


class DoorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards of one server go by.

    `hosts` are the exact values of the Host header that are accepted, with port, in lower case;
    `origins` the exact origins a browser page may call from.
    """

    hosts: frozenset[bytes]
    origins: frozenset[bytes]
    max_body_bytes: int = 16 << 20


def loopback_policy(port: int, *, max_body_bytes: int = 16 << 20) -> DoorPolicy:
    """Return the policy of a server on loopback: its own names and nobody else's."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return DoorPolicy(
        hosts=frozenset(f"{name}:{port}".encode() for name in names),
        origins=frozenset(f"http://{name}:{port}".encode() for name in names),
        max_body_bytes=max_body_bytes,
    )


class Visitor(msgspec.Struct, frozen=True):
    """What the guards read from a request's headers."""

    host: bytes | None
    origin: bytes | None
    fetch_site: bytes | None
    token: str | None
    by_cookie: bool
    length: int | None


def read_visitor(headers: RawHeaders) -> Visitor:
    """Read the guarded headers, once, from raw ASGI headers (names in lower case).

    Raises:
        Invalid: Host, Authorization or Content-Length is given twice or malformed.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _GUARDED:
            if name in found:
                raise Invalid(
                    f"header {name.decode()} is given twice; expected once", code="bad-header"
                )
            found[name] = value
    if found.get(b"content-encoding", b"identity") != b"identity":
        raise Invalid(
            "the body is encoded in a way that is not read here; expected none",
            code="other-encoding",
            hint="Send it without Content-Encoding.",
        )
    token = _bearer(found.get(b"authorization"))
    by_cookie = False
    if token is None and b"cookie" in found:
        token = _cookie_token(found[b"cookie"])
        by_cookie = token is not None
    return Visitor(
        found.get(b"host"),
        found.get(b"origin"),
        found.get(b"sec-fetch-site"),
        token,
        by_cookie,
        _length(found.get(b"content-length")),
    )


_GUARDED = frozenset(
    {
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"authorization",
        b"cookie",
        b"content-length",
        b"content-encoding",
    }
)


def check_door(visitor: Visitor, policy: DoorPolicy, *, changes: bool) -> None:
    """Turn away requests that come from where nobody should be calling from.

    Args:
        visitor: The request's guarded headers.
        policy: What this server accepts.
        changes: Whether the request changes anything. A cookie alone never suffices for that.

    Raises:
        Forbidden: Host or Origin is not on the list, or the fetch is cross-site.
        Invalid: The declared body is too large (code `too-large`).
    """
    if visitor.host is None or visitor.host.lower() not in policy.hosts:
        raise Forbidden(
            "the Host header names no host of this server",
            code="bad-host",
            hint="Call it by the address that `trivet up` printed.",
        )
    if visitor.origin is not None and visitor.origin.lower() not in policy.origins:
        raise Forbidden("the Origin is not allowed here", code="bad-origin")
    if visitor.fetch_site is not None and visitor.fetch_site not in _SAME:
        raise Forbidden("cross-site requests are not allowed here", code="cross-site")
    if changes and visitor.by_cookie and visitor.origin is None:
        raise Forbidden(
            "a request that changes something needs an Origin or a bearer token",
            code="no-origin",
            hint="Send the token in the Authorization header.",
        )
    if visitor.length is not None and visitor.length > policy.max_body_bytes:
        raise too_large(policy.max_body_bytes)


def too_large(limit_bytes: int) -> Invalid:
    """Return the error for a body over the limit."""
    return Invalid(
        f"the body is larger than {limit_bytes} bytes",
        code="too-large",
        hint="Send fewer rows in one request.",
    )


def admit(
    visitor: Visitor, permission: Permission, principal_of: Callable[[str], Principal]
) -> Principal:
    """Return who is asking, when they may.

    Raises:
        Forbidden: There is no token (`no-token`), it is not valid (`bad-token`), or its role lacks
            the permission (`no-permission`).
    """
    if permission is Permission.PUBLIC:
        return ANONYMOUS
    if visitor.token is None:
        raise Forbidden(
            "the request carries no token",
            code="no-token",
            hint="Send `Authorization: Bearer <token>`; `trivet up` prints the token.",
        )
    principal = principal_of(visitor.token)
    principal.demand(permission)
    return principal


def _bearer(value: bytes | None) -> str | None:
    if value is None:
        return None
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Invalid(
            "header authorization is of an unknown form; expected `Bearer <token>`",
            code="bad-header",
        )
    return token.strip().decode("latin-1")


def _cookie_token(value: bytes) -> str | None:
    for part in value.split(b";"):
        name, _, content = part.strip().partition(b"=")
        if name == COOKIE:
            return content.decode("latin-1")
    return None


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 15:  # 15 digits cannot overflow anything
        raise Invalid("header content-length is no number of bytes", code="bad-header")
    return int(value)
