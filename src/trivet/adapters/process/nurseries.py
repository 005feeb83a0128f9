"""The caller's side of a nursery: starting one, and having it fork and kill workers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from trivet.adapters.process import nursery
from trivet.core.errors import Unavailable

_SOURCE = str(Path(__file__).resolve().parents[3])
"""The folder that `trivet` itself lies in."""
_START_S = 120.0
_END_S = 5.0
_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)) or sys.path; "
    "from trivet.adapters.process.nursery import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
)


class Breed(msgspec.Struct, frozen=True):
    """What the workers of one nursery have in common."""

    interpreter: str
    paths: tuple[str, ...]


class Born(msgspec.Struct, frozen=True):
    """A worker as it was forked. Whoever has it closes what is in it."""

    pid: int
    channel: socket.socket
    output: int
    end: int


class Nursery:
    """A running nursery.

    Args:
        breed: Its interpreter, and where modules are looked for.
        warm: Modules to load before the first worker is forked.

    Raises:
        Unavailable: It cannot be started (code `no-worker`).
    """

    def __init__(self, breed: Breed, warm: tuple[str, ...]) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as complaints:
            self._process = _start(breed, warm, theirs, complaints.fileno())
            theirs.close()
            self._control.settimeout(_START_S)
            try:
                is_ready = self._control.recv(1) == b"!"
            except OSError:
                is_ready = False
            if not is_ready:
                self.close()
                complaints.seek(0)
                said = complaints.read()[-2000:].decode("utf-8", "replace").strip()
                raise _no_worker(said.splitlines()[-1] if said else "it ended at once", said)

    def fork(self) -> Born:
        """Fork a worker.

        Raises:
            Unavailable: The nursery is gone, or the machine has no room for a process.
        """
        ours, channel = socket.socketpair()
        output, output_end = os.pipe()
        end, end_end = os.pipe()
        try:
            with channel:
                self._send(nursery.FORK, 0, [channel.fileno(), output_end, end_end])
        except OSError:
            pass  # the pipe closes without a number
        finally:
            os.close(output_end)
            os.close(end_end)
        number = os.read(end, nursery.NUMBER.size)
        if len(number) < nursery.NUMBER.size:
            ours.close()
            os.close(output)
            os.close(end)
            self.is_over = True
            raise _no_worker("the process that forks workers is gone, or has no room for one", "")
        return Born(nursery.NUMBER.unpack(number)[0], ours, output, end)

    def kill(self, pid: int) -> None:
        """Kill a worker with everything it started, if it is still there."""
        with contextlib.suppress(OSError):  # a nursery that is gone took its workers with it
            self._send(nursery.KILL, pid, [])

    def close(self) -> None:
        """End it, and all of its workers."""
        self.is_over = True
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, tag: bytes, pid: int, fds: list[int]) -> None:
        with self._lock:
            socket.send_fds(self._control, [nursery.MESSAGE.pack(tag, pid)], fds)


def _start(
    breed: Breed, warm: tuple[str, ...], control: socket.socket, complaints: int
) -> "subprocess.Popen[bytes]":
    own = breed.interpreter == sys.executable
    paths = list(breed.paths) or [os.path.abspath(path) for path in sys.path]  # noqa: PTH100  # "" is the working folder
    arguments = [json.dumps(paths if own else []), str(control.fileno()), str(os.getpid())]
    environment = {k: v for k, v in os.environ.items() if own or k not in _OF_THIS_ENVIRONMENT}
    if not own:
        environment["PYTHONPATH"] = os.pathsep.join(breed.paths)
    try:
        return subprocess.Popen(
            [breed.interpreter, "-P", "-c", _BEGIN, *arguments, json.dumps(warm)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            pass_fds=[control.fileno()],
            start_new_session=True,  # Ctrl-C at a terminal reaches the caller, who ends the rest
        )
    except OSError as error:
        raise _no_worker(str(error), "") from error


_OF_THIS_ENVIRONMENT = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}


def _no_worker(reason: str, output: str) -> Unavailable:
    return Unavailable(
        f"no worker could be started: {reason}",
        code="no-worker",
        hint="Free memory and processes, or see what the output says.",
        detail={"output": output},
    )
