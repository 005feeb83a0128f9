"""What every test may rely on: patience on slow machines, Ctrl-C, no word to any other machine."""

import ipaddress
import os
import signal
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "trivet",
    # A build must mean the same twice; whoever works here looks at new examples every time.
    derandomize="CI" in os.environ,
    deadline=None,  # two shared cores say nothing about a test's speed
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("trivet"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "trivet"))

# Tests interrupt themselves and what they start; a shell has what it runs behind it ignore that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_local(family: int, address: Any) -> bool:
    """Whether a socket address stays on this machine."""
    if family not in {socket.AF_INET, socket.AF_INET6}:
        return True
    host = str(address[0])
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name that somebody else would have to resolve


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that would connect to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not is_local(self.family, address):
            pytest.fail(f"a test tried to reach {address!r}; tests talk to this machine alone")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
