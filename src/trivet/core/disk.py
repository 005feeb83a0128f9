"""What a file system promises, and the calls that make it keep the promise.

A sync that failed is never repeated: the kernel may have dropped the pages it could not write,
so that a second sync would report success over lost data.
"""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from trivet.core.errors import TrivetError, Unavailable, Unsupported

_FOLDER_MODE = 0o700
FILE_MODE = 0o600
CHUNK_BYTES = 1 << 20


@contextmanager
def translated(what: str) -> Generator[None]:
    """Turn the file system's refusals into `Unavailable`."""
    try:
        yield
    except TrivetError:
        raise  # some of ours are OSErrors, too, and have been explained already
    except OSError as error:
        raise Unavailable(
            f"{what} failed: {error.strerror or type(error).__name__}",
            code="disk",
            hint="Free space on the disk or repair it, then try again.",
            detail={"errno": error.errno},
        ) from error


def sync_data(fd: int) -> None:
    """Make the content of an open file durable.

    Raises:
        Unavailable: The disk refused (code `sync-failed`); what was written may be lost.
    """
    try:
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync leaves the drive's own cache unwritten
        elif sys.platform == "win32":
            os.fsync(fd)
        else:
            os.fdatasync(fd)
    except OSError as error:
        raise _sync_failed(error) from error


def sync_file(path: Path) -> None:
    """Make the content of a file durable that somebody else has written and closed.

    Raises:
        Unavailable: The disk refused (code `sync-failed`); what was written may be lost.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        sync_data(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        Unavailable: The disk refused (code `sync-failed`).
    """
    if sys.platform == "win32":
        return  # a folder cannot be opened there; NTFS journals its names
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        raise _sync_failed(error) from error
    finally:
        os.close(fd)


def _sync_failed(error: OSError) -> Unavailable:
    return Unavailable(
        f"the disk did not confirm a write: {error.strerror}",
        code="sync-failed",
        hint="Check the disk and its log, then restart the process.",
        detail={"errno": error.errno},
    )


def make_folder(folder: Path) -> None:
    """Make a folder and its parents exist durably, readable by their owner alone."""
    missing = [folder, *folder.parents]
    missing = missing[: next((i for i, path in enumerate(missing) if path.is_dir()), len(missing))]
    with translated("making a folder"):
        for path in reversed(missing):
            path.mkdir(_FOLDER_MODE, exist_ok=True)
            sync_folder(path.parent)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file for as long as it stays open; say whether that worked at once.

    Raises:
        Unsupported: This system has no `flock`.
    """
    if sys.platform == "win32":
        raise Unsupported(
            "this store needs file locks that Windows does not have",
            hint="Keep the workspace on Linux or macOS, and reach it over HTTP.",
        )
    import fcntl

    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(fd: int, *, shared: bool = False) -> None:
    """Lock an open file for as long as it stays open; wait for those who hold it.

    Raises:
        Unsupported: This system has no `flock`.
    """
    if not try_lock(fd, shared=shared):
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def is_locked(fd: int) -> bool:
    """Say whether somebody else holds the lock of an open file; takes none that would stay.

    Raises:
        Unsupported: This system has no `flock`.
    """
    if not try_lock(fd, shared=True):
        return True
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def write_all(fd: int, parts: list[bytes | memoryview]) -> int:
    """Write all parts at the file's position; return how many bytes they were.

    Raises:
        Unavailable: The disk is full or broken; part of the bytes may have been written.
    """
    total = sum(map(len, parts))
    with translated("writing"):
        if len(parts) > _MAX_PARTS:
            parts = [b"".join(parts)]
        written = os.writev(fd, parts)
        if written < total:  # a full disk, a signal or a limit cut it short
            rest = memoryview(b"".join(parts))[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]
    return total


_MAX_PARTS = 512  # POSIX promises 16, Linux and macOS take 1,024


def remove_staged(place: Path) -> None:
    """Remove what was not finished, if that is still possible; whoever opens next tries again."""
    with suppress(OSError):
        place.unlink()


def put_file(place: Path, content: bytes) -> None:
    """Replace a small file by new content, durably and at once: readers see the old or the new."""
    # A thread's own, as others may replace the same file at once.
    staged = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with translated("writing a file"):
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        try:
            try:
                write_all(fd, [content])
                sync_data(fd)
            finally:
                os.close(fd)
            staged.replace(place)
        except BaseException:
            remove_staged(staged)
            raise
        sync_folder(place.parent)
