"""Sharing: files that were checked a moment ago, for those who read them in many small ranges.

Opening a blob checks all of it. Who fetches a large file in a thousand ranges would have it
checked a thousand times; so what was opened for a range stays open for a while.
"""

import io
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

_KEPT_S: Final = 30.0
_MOST: Final = 8


class SharedFiles:
    """Files that are opened once and read by many.

    Args:
        open_blob: Opens the blob of a digest, having checked it.
    """

    def __init__(self, open_blob: Callable[[str], BinaryIO]) -> None:
        self._open_blob = open_blob
        self._lock = threading.Lock()
        self._known: dict[str, _Opened] = {}

    def open(self, digest: str) -> BinaryIO:
        """Open a file, together with whoever reads it now or did in the last half minute.

        Raises:
            NotFound, Corrupt: As opening the blob.
        """
        with self._lock:
            shared = self._known.setdefault(digest, _Opened())
            shared.readers += 1
        try:
            with shared.lock:  # who comes while it is checked waits for that
                if shared.file is None:
                    shared.file = self._open_blob(digest)
        except BaseException:
            self._let_go(shared)
            raise
        return cast("BinaryIO", _Reader(shared, lambda: self._let_go(shared)))

    def _let_go(self, shared: "_Opened") -> None:
        now = time.monotonic()
        with self._lock:
            shared.readers -= 1
            shared.idle_since = now
            idle = [pair for pair in self._known.items() if pair[1].readers == 0]
            idle.sort(key=lambda pair: pair[1].idle_since)
            surplus = len(self._known) - _MOST
            for place, (digest, each) in enumerate(idle):
                if each.file is None or place < surplus or now - each.idle_since > _KEPT_S:
                    each.close()
                    del self._known[digest]


class _Opened:
    def __init__(self) -> None:
        self.file: BinaryIO | None = None
        self.lock = threading.Lock()
        self.readers = 0
        self.idle_since = 0.0

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class _Reader(io.RawIOBase):
    """One reader's place in a file that others read, too."""

    def __init__(self, shared: _Opened, let_go: Callable[[], None]) -> None:
        super().__init__()
        self._shared = shared
        self._let_go = let_go
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with self._shared.lock:
            file = cast("BinaryIO", self._shared.file)
            if whence == io.SEEK_CUR:
                file.seek(self._place)
            self._place = file.seek(offset, whence)
        return self._place

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any buffer, as io says
        with self._shared.lock:
            file = cast("Any", self._shared.file)
            file.seek(self._place)
            count: int = file.readinto(buffer)
        self._place += count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._let_go()
