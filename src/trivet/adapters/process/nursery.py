"""The nursery: a process that has loaded what workers need, and forks one whenever it is asked.

It has one thread and never runs work itself, so that a fork of it is safe and costs a few
milliseconds. It is a program of its own and no fork of the caller: the caller may have threads,
its `__main__` is not run a second time, and another environment's interpreter can be a nursery,
too. When the caller is gone, by whatever end, the nursery ends with all of its workers.

A message is five bytes: `f` and nothing, with the worker's channel, its output and a pipe for its
number and its end; or `k` and a worker's number, to kill it with all that it started.
"""

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Iterable
from types import FrameType

from trivet.adapters.process.descendants import adopt_orphans, children_of, end_children, kill_group
from trivet.adapters.process.sources import OwnSources
from trivet.adapters.process.worker import serve

MESSAGE = struct.Struct(">cI")
NUMBER = struct.Struct(">i")
"""On a worker's pipe: first its process number, at its end its exit code, negative for a signal."""
FORK, KILL = b"f", b"k"
_LOOK_S = 1.0


def main(descriptor: int, parent: int, warm: str) -> None:
    """Fork workers until the caller is gone.

    Args:
        descriptor: The control channel.
        parent: The caller's process number.
        warm: Modules to load, a JSON list; those that cannot be loaded are left out.
    """
    sources = OwnSources()
    sources.install()
    load(json.loads(warm))
    _Nursery(socket.socket(fileno=descriptor), parent, sources).run()


def load(modules: Iterable[str]) -> None:
    """Load modules, as far as they can be."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


class _Nursery:
    def __init__(self, control: socket.socket, parent: int, sources: OwnSources) -> None:
        self._control = control
        self._sources = sources
        self._parent = parent
        self._ends: dict[int, int] = {}  # worker's number -> where its end is reported
        self._helpers: set[int] = set()  # what libraries started as they were loaded
        self._bell, bell = os.pipe()
        os.set_blocking(bell, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)

    def run(self) -> None:
        """Serve; on return everything has ended."""
        gc.collect()
        gc.freeze()  # pages that the collector does not write to stay shared
        adopt_orphans()  # what has left its worker's group comes here when the worker ends
        self._helpers = set(children_of(os.getpid()))
        readable = selectors.PollSelector()  # `select` knows no descriptor beyond 1,023
        for source in (self._control, self._bell):
            readable.register(source, selectors.EVENT_READ)
        self._control.send(b"!")  # everything is loaded
        while os.getppid() == self._parent:
            ready = {key.fileobj for key, _ in readable.select(_LOOK_S)}
            if self._bell in ready:
                os.read(self._bell, 4096)
                self._reap()
            if self._control in ready and not self._obey():
                break
        for pid in self._ends:
            kill_group(pid)
        end_children()

    def _obey(self) -> bool:
        try:
            message, fds, _, _ = socket.recv_fds(self._control, MESSAGE.size, 3)
        except ConnectionError:
            return False
        if len(message) < MESSAGE.size:
            return False
        tag, pid = MESSAGE.unpack(message)
        if tag == FORK:
            self._fork(*fds)
        elif pid in self._ends:  # a number that was given back may be a stranger's by now
            kill_group(pid)
        return True

    def _fork(self, channel: int, output: int, end: int) -> None:
        own = os.getpid()
        with warnings.catch_warnings():
            # Libraries that were loaded may have started threads of their own; they are idle.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                pid = os.fork()
            except OSError:  # the caller sees that the pipe closes without a number
                pid = -1
        if not pid:
            self._become_worker(channel, output, end, own)
        for fd in (channel, output):
            os.close(fd)
        if pid < 0:
            os.close(end)
            return
        self._ends[pid] = end
        _report(end, pid)

    def _become_worker(self, channel: int, output: int, end: int, parent: int) -> None:
        code = 1
        try:
            os.setsid()  # its children are in its group, and end with it
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            for fd in (self._bell, end, *self._ends.values()):
                os.close(fd)
            serve(socket.socket(fileno=channel), output, parent, self._sources)
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while self._ends:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid in self._ends:
                kill_group(pid)  # what it left behind, while its number is still its own
            _, status = os.waitpid(pid, 0)
            end = self._ends.pop(pid, None)
            self._kill_strays()
            if end is not None:
                _report(end, os.waitstatus_to_exitcode(status))
                os.close(end)

    def _kill_strays(self) -> None:
        for pid in children_of(os.getpid()):
            if pid not in self._ends and pid not in self._helpers:
                kill_group(pid)


def _wake(number: int, frame: FrameType | None) -> None:
    """Do nothing: that a signal came is written to the bell."""
    del number, frame


def _report(end: int, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(end, NUMBER.pack(number))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
