"""Posts to addresses that came from outside: to the public internet, and what is allowed besides.

Whoever may register an address could otherwise have this machine ask what only it can reach: its
own ports, the services beside it, a cloud's metadata. So the address that a connection is made to
is checked, after its name was looked up and before anything is sent; a name cannot be looked up to
something else in between. Proxies are not used, for what they connect to nobody sees.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from trivet.core.deadlines import Deadline
from trivet.core.errors import Invalid, Unavailable
from trivet.core.outbox import Posted

_MOST_URL: Final = 2000
_MOST_BODY_BYTES: Final = 16 << 10
_NAT64: Final = ip_network("64:ff9b::/96")

_Address = IPv4Address | IPv6Address


class GuardedPoster:
    """Posts to public addresses, and to those in other networks that are named.

    Args:
        networks: Such as `10.1.0.0/16`.

    Raises:
        ValueError: One is no network.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(ip_network(network) for network in networks)

    def check(self, url: str) -> None:
        parts = _parts(url)
        try:
            address = ip_address(parts.hostname or "")
        except ValueError:
            return
        if not self._may_reach(address):
            raise _forbidden(parts.hostname)

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Posted:
        parts = _parts(url)
        host, deadline = parts.hostname or "", Deadline(timeout_s)
        connection = self._connection(parts, timeout_s)
        deadline.watch(connection)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with deadline:
                connection.request("POST", path, body, dict(headers))
                answer = connection.getresponse()
                posted = Posted(answer.status, answer.read(_MOST_BODY_BYTES))
                # An answer that was cut off by the deadline reads like a whole one.
                if deadline.has_passed:
                    raise TimeoutError
                return posted
        except (OSError, http.client.HTTPException) as error:
            why = f"not within {timeout_s:.3g} s" if deadline.has_passed else str(error)
            raise Unavailable(
                f"{host} did not answer: {why or type(error).__name__}",
                code="no-answer",
                hint="It is tried again; check the address and the network.",
            ) from error
        finally:
            connection.close()

    def _connection(self, parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
        if parts.scheme == "https":
            return _Secure(self, parts.hostname or "", parts.port, timeout=timeout_s)
        return _Plain(self, parts.hostname or "", parts.port, timeout=timeout_s)

    def connect(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """Connect to the first of a host's addresses that answers and may be reached.

        Raises:
            Invalid: None of them may be reached (code `forbidden-address`).
            OSError: None answers.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise _bad("has a host that is no name") from error
        allowed = [each for each in found if self._may_reach(ip_address(each[4][0]))]
        if not allowed:
            raise _forbidden(host)
        trouble: OSError | None = None
        for family, kind, protocol, _, place in allowed:
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(timeout_s)
                connected.connect(place)
            except OSError as error:
                connected.close()
                trouble = error
            else:
                return connected
        raise trouble or OSError("no address")

    def _may_reach(self, address: _Address) -> bool:
        inner = _inner(address)
        if any(_is_in(inner, network) for network in self._networks):
            return True
        return inner.is_global and not inner.is_multicast


class _Plain(http.client.HTTPConnection):
    def __init__(self, poster: GuardedPoster, host: str, port: int | None, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._poster = poster

    def connect(self) -> None:
        self.sock = self._poster.connect(self.host, self.port, self.timeout)


class _Secure(http.client.HTTPSConnection):
    def __init__(self, poster: GuardedPoster, host: str, port: int | None, **options: Any) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(host, port, context=self._tls, **options)
        self._poster = poster

    def connect(self) -> None:
        plain = self._poster.connect(self.host, self.port, self.timeout)
        secure = self._tls.wrap_socket(
            plain, server_hostname=self.host, do_handshake_on_connect=False
        )
        self.sock = secure  # under the deadline's watch while hands are shaken
        secure.do_handshake()


def _inner(address: _Address) -> _Address:
    """Return the address of the older kind that an address of the newer kind stands for."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and _is_in(address, _NAT64):
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        return inner or address
    return address


def _is_in(address: _Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _bad(f"is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise _bad("is no http or https address with a host")
    if "@" in parts.netloc:
        raise _bad("has a user or password in it, which is not sent")
    if len(url) > _MOST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad(f"has spaces or other odd characters, or more than {_MOST_URL} of them")
    return parts


def _bad(problem: str) -> Invalid:
    return Invalid(
        f"Invalid webhook URL: it {problem}",
        code="bad-url",
        hint="Write it as https://host/path.",
    )


def _forbidden(host: str | None) -> Invalid:
    return Invalid(
        f"nothing is posted to {host}: it leads to no public address",
        code="forbidden-address",
        hint="Name its network in trivet.toml: [webhooks] networks.",
    )
