"""How a process of ours ends: when it is told to, and when whoever started it is gone.

A part without its supervisor would hold ports and leases that nobody can give back; a run without
its runner would work for nobody. Both look after their parent themselves, because a parent that
was killed with SIGKILL can no longer do so.
"""

import os
import signal
import threading
import time
from types import FrameType

from trivet.pipelines.failures import Terminated

_LOOK_S = 0.5
_GRACE_S = 5.0


def leave_on_sigterm() -> None:
    """Turn SIGTERM into a SystemExit, as Ctrl-C is KeyboardInterrupt: what is open gets closed."""
    signal.signal(signal.SIGTERM, _leave)


def end_with_parent(pid: int) -> None:
    """End this process soon after its parent: by SIGTERM, and for good when that does not help.

    Args:
        pid: The process that started this one, as that one knows itself.
    """
    watch = threading.Thread(target=_watch, args=(pid,), name="parent", daemon=True)
    watch.start()


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Terminated(0)


def _watch(pid: int) -> None:
    # An orphan is given another parent at once, so the number cannot be a stranger's by now.
    while os.getppid() == pid:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
