"""The guards: Host, Origin, fetch metadata, token and body size, before any handler runs.

A server on loopback is reachable from every page open in the user's browser. So nothing is
inferred from the network: Host and Origin must be on an exact list (which defeats DNS rebinding),
cross-site fetches are turned away whatever they carry, and a token is always needed. One server may
make one exception, when its owner says so: programs of the owner's own user, as the kernel knows
them, who could read the token anyway.
"""

import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection, Iterable
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Forbidden, Invalid

RawHeaders = Iterable[tuple[bytes, bytes]]

COOKIE: Final = b"trivet_session"
CSRF: Final = b"x-trivet-csrf"
"""The header that a page sends with whatever changes something, beside its cookie."""
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
    patience_s: float = 30.0
    """How long a client may take over a whole body, or be silent within a stream, either way."""
    is_own: Callable[[dict[str, Any]], bool] | None = None
    """Says of an ASGI scope whether it is of the owner's own program, which needs no token; None:
    everybody needs one."""


def loopback_policy(port: int, *, max_body_bytes: int = 16 << 20) -> DoorPolicy:
    """Return the policy of a server on loopback: its own names and nobody else's."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return DoorPolicy(
        hosts=frozenset(f"{name}:{port}".encode() for name in names),
        origins=frozenset(f"http://{name}:{port}".encode() for name in names),
        max_body_bytes=max_body_bytes,
    )


Way = Literal["none", "bearer", "basic", "cookie", "own"]
"""How somebody shows who they are; `own`: by nothing but being the owner's program."""


class Visitor(msgspec.Struct, frozen=True):
    """What the guards read from a request's headers."""

    host: bytes | None
    origin: bytes | None
    fetch_site: bytes | None
    token: str | None
    way: Way
    """How the token was sent. What a basic one sent may be a password."""
    user: str
    """The name beside it; empty unless it is a basic one."""
    csrf: bytes | None
    length: int | None
    encoding: bytes | None
    """How the body is packed; None when it is as it is."""

    @property
    def by_cookie(self) -> bool:
        """Whether the browser sent the token by itself."""
        return self.way == "cookie"


class Knock(msgspec.Struct, frozen=True):
    """Somebody at the door: what they show, and where they want to go."""

    secret: str
    way: Way = "bearer"
    user: str = ""
    project: str | None = None
    """The project that the path names; None: the server's own."""
    address: str = ""
    """Where the connection comes from."""


PrincipalOf = Callable[[Knock], Principal | Awaitable[Principal]]
"""Says who knocks, at once or, where that takes long, later. Raises Forbidden for nobody (codes
`bad-token`, `too-many-guesses`), and NotFound for a project that is not there, or not for them."""


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
    way, user, token = _credentials(found.get(b"authorization"))
    if token is None and b"cookie" in found:
        token = _cookie_token(found[b"cookie"])
        way = "none" if token is None else "cookie"
    return Visitor(
        found.get(b"host"),
        found.get(b"origin"),
        found.get(b"sec-fetch-site"),
        token,
        way,
        user,
        found.get(CSRF),
        _length(found.get(b"content-length")),
        _encoding(found[b"content-encoding"]) if b"content-encoding" in found else None,
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
        CSRF,
    }
)


_BETWEEN: Final = frozenset(
    {
        *(b"cookie", b"origin", b"referer", b"via", b"forwarded", b"x-real-ip"),
        *(b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"sec-fetch-user"),
    }
)


def is_straight(headers: RawHeaders) -> bool:
    """Say whether a program seems to ask by itself: not for a page, and through no proxy."""
    return not any(name in _BETWEEN or name.startswith(b"x-forwarded-") for name, _ in headers)


def check_door(
    visitor: Visitor, policy: DoorPolicy, *, changes: bool, is_return: bool = False
) -> None:
    """Turn away requests that come from where nobody should be calling from.

    Args:
        visitor: The request's guarded headers.
        policy: What this server accepts.
        changes: Whether the request changes anything. A cookie alone never suffices for that.
        is_return: Whether a browser comes to this path from another site, as from its provider.

    Raises:
        Forbidden: Host or Origin is not on the list, or the fetch is cross-site.
    """
    if visitor.host is None or visitor.host.lower() not in policy.hosts:
        raise Forbidden(
            "the Host header names no host of this server",
            code="bad-host",
            hint="Call it by the address that `trivet up` printed.",
        )
    if visitor.origin is not None and visitor.origin.lower() not in policy.origins:
        raise Forbidden("the Origin is not allowed here", code="bad-origin")
    if not is_return and visitor.fetch_site is not None and visitor.fetch_site not in _SAME:
        raise Forbidden("cross-site requests are not allowed here", code="cross-site")
    if changes and visitor.by_cookie and visitor.origin is None:
        raise Forbidden(
            "a request that changes something needs an Origin or a bearer token",
            code="no-origin",
            hint="Send the token in the Authorization header.",
        )


def check_body(visitor: Visitor, limit_bytes: int, encodings: Collection[bytes] = ()) -> None:
    """Check what a request says of its body, before any of it is read.

    Args:
        visitor: The request's guarded headers.
        limit_bytes: The most bytes that are taken.
        encodings: How the body may be packed.

    Raises:
        Invalid: It is too large (code `too-large`) or packed in another way (`other-encoding`).
    """
    if visitor.encoding is not None and visitor.encoding not in encodings:
        raise Invalid(
            "the body is encoded in a way that is not read here; expected "
            + (" or ".join(sorted(name.decode() for name in encodings)) or "none"),
            code="other-encoding",
            hint="Send it without Content-Encoding.",
        )
    if visitor.length is not None and visitor.length > limit_bytes:
        raise too_large(limit_bytes)


def too_large(limit_bytes: int) -> Invalid:
    """Return the error for a body over the limit."""
    return Invalid(
        f"the body is larger than {limit_bytes} bytes",
        code="too-large",
        hint="Send less in one request.",
    )


def csrf_of(secret: str) -> str:
    """Return what a page sends in the header `X-Trivet-CSRF` beside the cookie of a session.

    Only pages of this server can read it, and it says nothing about the session's secret.
    """
    return sha256(b"csrf:" + secret.encode("utf-8", "surrogateescape")).hexdigest()


def admit(
    visitor: Visitor,
    permission: Permission,
    principal_of: PrincipalOf,
    *,
    project: str | None = None,
    address: str = "",
    changes: bool = False,
) -> Principal | Awaitable[Principal]:
    """Return who is asking. Whether they may is the next question: `Principal.demand`.

    Args:
        visitor: The request's guarded headers.
        permission: What its route needs.
        principal_of: Knows who holds what.
        project: The project that its path names.
        address: Where it comes from.
        changes: Whether it changes anything.

    Raises:
        Forbidden: There is no token (`no-token`), it is not valid (`bad-token`), or it is a
            session's and its other half is missing (`no-csrf`).
        NotFound: There is no such project, as far as this caller may know.
    """
    if permission is Permission.PUBLIC:
        return ANONYMOUS
    if visitor.token is None:
        raise Forbidden(
            "the request carries no token",
            code="no-token",
            hint="Send `Authorization: Bearer <token>`; `trivet up` prints the token.",
        )
    if changes and visitor.by_cookie:
        expected = csrf_of(visitor.token).encode()
        if not hmac.compare_digest(visitor.csrf or b"", expected):
            raise Forbidden(
                "a request that changes something needs the session's X-Trivet-CSRF header",
                code="no-csrf",
                hint="Send what GET /session answers as csrf.",
            )
    return principal_of(Knock(visitor.token, visitor.way, visitor.user, project, address))


def _credentials(value: bytes | None) -> tuple[Way, str, str | None]:
    """Return what an Authorization header holds: the way, a user's name, and the secret."""
    if value is None:
        return "none", "", None
    scheme, _, secret = value.partition(b" ")
    user = b""
    way: Way = "bearer"
    if scheme.lower() == b"basic":
        way = "basic"
        user, _, secret = _decoded(secret.strip()).partition(b":")
    elif scheme.lower() != b"bearer":
        secret = b""
    secret = secret if way == "basic" else secret.strip()
    if not secret:
        raise Invalid(
            "header authorization is of an unknown form; expected `Bearer <token>`, or `Basic` "
            "with a user's name and password, or with a token as the password",
            code="bad-header",
        )
    return way, _text(user), _text(secret)


def _text(value: bytes) -> str:
    try:
        return value.decode()  # what clients of today send (RFC 7617, section 2.1)
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _decoded(credentials: bytes) -> bytes:
    try:
        return b64decode(credentials, validate=True)
    except ValueError:
        return b""


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


def _encoding(value: bytes) -> bytes | None:
    name = value.strip().lower()
    return None if name in {b"", b"identity"} else name
