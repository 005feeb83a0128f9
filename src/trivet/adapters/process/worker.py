"""What a worker does: it takes work from its channel and answers, until the channel is closed."""

import contextlib
import faulthandler
import gc
import importlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable

import msgspec

from trivet.adapters.process import frames
from trivet.adapters.process.descendants import adopt_orphans
from trivet.adapters.process.sources import OwnSources
from trivet.adapters.process.surroundings import Surroundings
from trivet.core.errors import Conflict, Unsupported

_LOOK_S = 1.0
_OOM_SCORE = "700"  # of 1,000: the kernel ends a worker before the process that asked


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Work as it reaches a worker."""

    entry: str
    body: bytes
    folder: str
    variables: dict[str, str] = {}


def serve(channel: socket.socket, output: int, parent: int, sources: OwnSources) -> None:
    """Work until the channel is closed. Never returns into the caller's world with its streams.

    Args:
        channel: Where work comes from and answers go.
        output: A descriptor that takes whatever is printed.
        parent: The process that forked this one.
        sources: How the user's own modules are found.
    """
    _redirect(output)
    _end_with(parent)
    adopt_orphans()
    _seed()
    gc.enable()
    own = os.getpid()
    around = Surroundings()
    sources.around = around.accepting
    os.register_at_fork(after_in_child=channel.close)  # no fork speaks for this process
    decoder = msgspec.msgpack.Decoder(Assignment)
    with contextlib.suppress(ConnectionError):
        while (frame := frames.receive(channel)) is not None:
            if sources.were_edited():
                frames.send(channel, frames.STALE, frame.call)
                return
            assignment = decoder.decode(frame.payload)
            tag, payload = _answer(assignment, around, _Voice(channel, frame.call).tell)
            _flush()
            if os.getpid() != own:  # a fork of the work's that came back
                os._exit(tag != frames.RESULT)
            if not around.restore():
                frames.send(channel, frames.LEAVES, frame.call)
            frames.send(channel, tag, frame.call, payload)


class _Voice:
    """Tells the caller what an entry says during one call."""

    def __init__(self, channel: socket.socket, call: int) -> None:
        self._channel = channel
        self._call = call
        self._own = os.getpid()
        self._lock = threading.Lock()

    def tell(self, word: bytes) -> None:
        if os.getpid() != self._own:
            raise Unsupported(
                "a process that was forked from a worker cannot tell the run anything",
                code="forked",
                hint="Return the figures to the step, and log them there.",
            )
        with self._lock:  # the user's step may tell from several threads
            frames.send(self._channel, frames.WORD, self._call, word)


def _answer(
    assignment: Assignment, around: Surroundings, tell: Callable[[bytes], None]
) -> tuple[bytes, bytes]:
    try:
        os.chdir(assignment.folder)
        os.environ.update(assignment.variables)
        around.begin()
        return frames.RESULT, _entry(assignment.entry)(assignment.body, tell)
    except Conflict as error:
        if error.code == "stale-worker":
            return frames.STALE, b""
        return frames.FAILED, traceback.format_exc(limit=-4).encode("utf-8", "replace")
    except BaseException:  # noqa: BLE001  # a worker's loop: the answer says what was raised
        return frames.FAILED, traceback.format_exc(limit=-4).encode("utf-8", "replace")


def _entry(name: str) -> Callable[[bytes, Callable[[bytes], None]], bytes]:
    module, _, function = name.partition(":")
    importlib.invalidate_caches()
    return getattr(importlib.import_module(module), function)


def _redirect(output: int) -> None:
    """Send all that is printed, by native code, too, to the descriptor, line by line."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(  # noqa: SIM115  # open for as long as the process lives
            number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable()  # a crash in native code says where it was


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            stream.flush()


def _seed() -> None:
    """Draw other random numbers than the workers that were forked beside this one.

    Python's own generator does so by itself after a fork.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _end_with(parent: int) -> None:
    """See to it that this process ends when its parent does, whatever it is doing then."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(_OOM_SCORE)
        if os.getppid() != parent:
            os._exit(1)  # it was gone before the kernel knew of our wish
        return
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
