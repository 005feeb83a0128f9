"""Whose process is at the other end of a local connection, as the kernel knows it.

Asked by `sock_diag` (netlink, Linux 3.3, man 7 sock_diag) for exactly one socket: the one that
connects the client's address to the server's in this network namespace.
"""

import os
import socket
import struct
from typing import Final, NamedTuple

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG, which the standard library does not name
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_ESTABLISHED: Final = 1
_NO_COOKIE: Final = b"\xff" * 8
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ASK: Final = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_PORTS: Final = struct.Struct("!HH")
_ANSWER: Final = struct.Struct("=xB2x48x12xII")  # state, user, inode
_PATIENCE_S: Final = 1.0

Address = tuple[str, int]


class _Socket(NamedTuple):
    state: int
    user: int
    inode: int


def is_own(client: Address, server: Address) -> bool:
    """Say whether a connection on loopback comes from a process of this process's user.

    False when the kernel does not tell: on other systems, in sandboxes without netlink, or when
    the client has closed its end.

    Args:
        client: Host and port of the client, as the server's socket sees them.
        server: Host and port of the server.
    """
    # A closed socket has lost its user and may be told as root's. One that is still connected at
    # the second question was so throughout the first.
    first, second = _socket(client, server), _socket(client, server)
    return (
        first is not None
        and first == second
        and first.state == _ESTABLISHED
        and first.inode != 0
        and first.user == os.geteuid()
    )


def _socket(client: Address, server: Address) -> _Socket | None:
    """Return the client's end of a connection, None when there is no telling."""
    try:
        family, ends = _ends(client, server)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as asking:
            asking.settimeout(_PATIENCE_S)
            body = _ASK.pack(family, socket.IPPROTO_TCP, 0, 1 << _ESTABLISHED) + ends
            length = _HEADER.size + len(body)
            head = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
            asking.sendto(head + body, (0, 0))
            answer = asking.recv(4096)
    except (AttributeError, OSError, ValueError):
        return None
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY or len(answer) < _HEADER.size + _ANSWER.size:
        return None  # there is no such socket
    return _Socket._make(_ANSWER.unpack_from(answer, _HEADER.size))


def _ends(client: Address, server: Address) -> tuple[int, bytes]:
    """Return the family of both addresses, and the client's socket as the kernel names it."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    hosts = b"".join(
        socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (client, server)
    )
    return family, _PORTS.pack(client[1], server[1]) + hosts + bytes(4) + _NO_COOKIE
