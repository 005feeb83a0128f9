"""Whose process is at the other end of a connection: real sockets, and another user's process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from trivet.adapters.linux.peers import is_own

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked by netlink")


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((request.param, 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        listener.listen()
        yield listener


def test_a_process_of_the_same_user_is_known(listener: socket.socket) -> None:
    server = listener.getsockname()[:2]
    with socket.create_connection(server) as client:
        accepted, address = listener.accept()
        with accepted:
            assert is_own(address[:2], server)
            assert not is_own((address[0], 1), server)
            assert not is_own(server, server)
            assert not is_own(("no address", 1), server)
            client.shutdown(socket.SHUT_WR)


def test_a_client_that_has_closed_is_not_taken_for_anybody(listener: socket.socket) -> None:
    server = listener.getsockname()[:2]
    client = socket.create_connection(server)
    accepted, address = listener.accept()
    with accepted:
        client.close()  # what it has sent can still be read
        assert not is_own(address[:2], server)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_process_of_another_user_is_not_taken_for_this_one() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        host, port = listener.getsockname()
        connect = f"exec 3<>/dev/tcp/{host}/{port}; read line <&3"
        child = subprocess.Popen(["/bin/bash", "-c", connect], user=65534, cwd="/")
        with child:
            accepted, address = listener.accept()
            with accepted:
                assert not is_own(address, (host, port))
            child.wait(10)
