"""Blobs in a folder: one file per digest, written once, checked whenever it is opened.

A blob is staged in `tmp/`, hashed while it is written, synced, renamed to `ab/cdef…` (its digest)
and made durable by a sync of that folder. So a name never stands for bytes that are not there.
"""

import copy
import io
import os
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import blake3

from trivet.core import disk
from trivet.core.errors import Corrupt, Invalid, NotFound, Unavailable
from trivet.core.ids import new_id
from trivet.core.ports import Damage

_DIGEST = re.compile(r"b3:([0-9a-f]{2})([0-9a-f]{62})")
_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")
_IN_MEMORY_BYTES = 8 << 20
_STALE_S = 3600


class FileBlobWriter:
    """A blob being written to a staged file, and hashed meanwhile.

    Args:
        staged: The file to make.
        keep: Makes the staged file, open and whole, the blob of a digest.
    """

    def __init__(self, staged: Path, keep: Callable[[Path, int, str], None]) -> None:
        self._staged = staged
        self._keep = keep
        self._state = blake3.blake3()
        self._fd: int | None = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, disk.FILE_MODE)
        disk.try_lock(self._fd)  # says that this process lives, see _remove_stale

    def write(self, data: bytes) -> None:
        self._state.update(data)
        disk.write_all(self._open_file(), [data])

    def finish(self) -> str:
        digest = "b3:" + self._state.hexdigest()
        try:
            self._keep(self._staged, self._open_file(), digest)
            self._close()
        finally:
            self.discard()
        return digest

    def discard(self) -> None:
        if self._fd is not None:
            self._close()
            disk.remove_staged(self._staged)

    def _open_file(self) -> int:
        if self._fd is None:
            raise Invalid("the blob is finished or discarded", code="closed")
        return self._fd

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class FileBlobs:
    """Bytes by digest under `folder`; any number of processes may share it.

    Args:
        folder: Made when missing, readable by its owner alone.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._staging = self._folder / "tmp"
        disk.make_folder(self._staging)
        self._synced: set[str] = set()
        self._failure: Unavailable | None = None
        self._remove_stale()

    def put(self, data: bytes | BinaryIO) -> str:
        if isinstance(data, bytes | bytearray | memoryview):
            digest = "b3:" + blake3.blake3(data).hexdigest()
            with self._trusted():
                if self._touch(self._place(digest)) and _matches(self._place(digest), digest):
                    self._confirm(self._place(digest).parent)
                    return digest
            data = io.BytesIO(data)
        writer = self.begin()
        try:
            while block := data.read(disk.CHUNK_BYTES):
                writer.write(block)
            return writer.finish()
        finally:
            writer.discard()

    def begin(self) -> "FileBlobWriter":
        with self._trusted(), disk.translated("storing a blob"):
            return FileBlobWriter(self._staging / new_id(), self._keep)

    def open(self, digest: str) -> BinaryIO:
        place = self._place(digest)
        with disk.translated(f"reading blob {digest}"):
            try:
                file = place.open("rb")
            except FileNotFoundError:
                raise NotFound(
                    f"no blob has the digest {digest}",
                    code="no-blob",
                    hint="Run `trivet fsck`; restore the blob from a backup if it should exist.",
                ) from None
            try:
                return _checked(file, digest)
            except BaseException:
                file.close()
                raise

    def has(self, digest: str) -> bool:
        return self._place(digest).is_file()

    def renew(self, digest: str) -> bool:
        return self._touch(self._place(digest))

    def delete(self, digest: str, *, unless_put_for_s: float | None = None) -> bool:
        place = self._place(digest)
        with disk.translated("deleting a blob"):
            gone = self._unlink(place, unless_put_for_s)
            if gone:
                disk.sync_folder(place.parent)
        return gone is not False

    def _unlink(self, place: Path, unless_put_for_s: float | None) -> bool | None:
        """Remove a file; False when it is too young, None when it is not there."""
        with self._held(shared=False):
            try:
                if _is_young(place.stat(), unless_put_for_s):
                    return False
                place.unlink()
            except FileNotFoundError:
                return None
        return True

    def list(self, *, unless_put_for_s: float | None = None) -> Iterator[tuple[str, int]]:
        for place in self._files():
            digest = _name_of(place)
            try:
                found = place.stat()
            except FileNotFoundError:
                continue  # deleted meanwhile
            if digest and not _is_young(found, unless_put_for_s):
                yield digest, found.st_size

    def verify(self) -> Iterator[Damage]:
        for place in self._files():
            name = _name_of(place)
            try:
                with place.open("rb") as file:
                    found = _digest(file)
            except FileNotFoundError:
                continue  # deleted meanwhile
            except OSError as error:
                yield _damage(name or place.name, f"it cannot be read: {error.strerror}")
                continue
            if name is None:
                yield _damage(place.name, "a file whose name is no digest")
            elif found != name:
                yield _damage(name, "its bytes do not match the digest")

    def _place(self, digest: str) -> Path:
        parts = _DIGEST.fullmatch(digest)
        if parts is None:
            raise Invalid(
                f"digest is a {type(digest).__name__} that is none; "
                "expected 'b3:' and 64 lower-case hexadecimal digits",
                code="bad-digest",
                hint="Copy the digest as Trivet printed it.",
            )
        return self._folder / parts[1] / parts[2]

    @contextmanager
    def _trusted(self) -> Generator[None]:
        """Store nothing once a sync has failed: what the disk confirmed before may be gone, too."""
        if self._failure:
            raise copy.copy(self._failure)
        try:
            yield
        except Unavailable as error:
            if error.code == "sync-failed":
                self._failure = error
            raise

    def _keep(self, staged: Path, fd: int, digest: str) -> None:
        """Sync a staged file and give it its name."""
        place = self._place(digest)
        with self._trusted(), disk.translated("storing a blob"):
            disk.sync_data(fd)
            self._make_fan_out(place.parent)
            if self._touch(place) and _matches(place, digest):
                staged.unlink()
            else:
                os.utime(staged)
                with self._held(shared=True):
                    staged.replace(place)
            self._confirm(place.parent)

    def _touch(self, place: Path) -> bool:
        """Let a blob that is there count as put now; False when it is not there."""
        with disk.translated("storing a blob"), self._held(shared=True):
            try:
                os.utime(place)
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _held(self, *, shared: bool) -> Generator[None]:
        """Keep what is put and what is deleted apart: a moment's lock over all processes.

        Without it a blob could be found old, put again, and deleted.
        """
        fd = os.open(self._staging, os.O_RDONLY)
        try:
            disk.lock(fd, shared=shared)
            yield
        finally:
            os.close(fd)

    def _make_fan_out(self, folder: Path) -> None:
        if folder.name not in self._synced:
            folder.mkdir(0o700, exist_ok=True)

    def _confirm(self, folder: Path) -> None:
        """Make a blob's name durable, whoever wrote it.

        A blob that exists may have been renamed by another process a moment ago, so its folder is
        synced even when nothing was written here.
        """
        disk.sync_folder(folder)
        if folder.name not in self._synced:
            disk.sync_folder(self._folder)
            self._synced.add(folder.name)

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self._folder.iterdir()):
            if _FAN_OUT.fullmatch(folder.name) and folder.is_dir():
                yield from sorted(folder.iterdir())

    def _remove_stale(self) -> None:
        """Remove what dead processes left half-written, an hour after they began."""
        oldest = time.time() - _STALE_S
        for staged in self._staging.iterdir():
            try:
                if staged.stat().st_mtime > oldest:
                    continue
                fd = os.open(staged, os.O_RDONLY)
            except OSError:
                continue  # it went its way meanwhile
            try:
                if disk.try_lock(fd):
                    staged.unlink(missing_ok=True)
            finally:
                os.close(fd)


def _is_young(found: os.stat_result, seconds: float | None) -> bool:
    return seconds is not None and found.st_mtime > time.time() - seconds


def _digest(file: BinaryIO) -> str:
    state = blake3.blake3()
    while block := file.read(disk.CHUNK_BYTES):
        state.update(block)
    return "b3:" + state.hexdigest()


def _checked(file: BinaryIO, digest: str) -> BinaryIO:
    """Return a reader of the file's content, after all of it was checked."""
    small = os.fstat(file.fileno()).st_size <= _IN_MEMORY_BYTES
    # Small content is handed out from the very memory that was checked.
    source = io.BytesIO(file.read()) if small else file
    if _digest(source) != digest:
        raise Corrupt(
            f"the bytes of blob {digest} do not match it",
            code="corrupt-blob",
            hint="Run `trivet fsck`, then restore the blob from a backup.",
            detail={"digest": digest},
        )
    source.seek(0)
    if small:
        file.close()
    return source


def _matches(place: Path, digest: str) -> bool:
    """Say whether the blob is there and whole; a damaged one is then written anew."""
    try:
        with place.open("rb") as file:
            return _digest(file) == digest
    except OSError:
        return False


def _name_of(place: Path) -> str | None:
    return f"b3:{place.parent.name}{place.name}" if _REST.fullmatch(place.name) else None


def _damage(name: str, problem: str) -> Damage:
    return Damage(
        store="blobs",
        name=name,
        problem=problem,
        hint="Restore it from a backup, or store it anew.",
    )
