"""Materialisers: what turns values of some types into files, and back without running anything.

Those of the usual libraries live in `materialising`; this is what all of them, and those that users
and other rooms bring, are made of.
"""

import io
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from trivet.core.errors import Corrupt, TrivetError
from trivet.core.trees import Content, StoredFiles

T = TypeVar("T")
Files = Mapping[str, bytes]
"""A value's files as they are read: relative path to content."""

LARGE_BYTES: Final = 16 << 20
"""From here on a file of a value is written to disk, and streamed from there."""
_BLOCK_BYTES: Final = 1 << 20


class Materialiser(msgspec.Struct, frozen=True, kw_only=True):
    """How values of some types become files and come back.

    Example:
        >>> import fractions
        >>> exact = Materialiser(
        ...     format="fraction",
        ...     accepts=lambda value: type(value) is fractions.Fraction,
        ...     save=lambda value: {"fraction.txt": str(value).encode()},
        ...     load=lambda files: fractions.Fraction(files["fraction.txt"].decode()),
        ... )
        >>> exact.load(exact.save(fractions.Fraction(1, 3)))
        Fraction(1, 3)
    """

    format: str
    """The name recorded with the files, for ever."""
    accepts: Callable[[object], bool]
    """Says whether it can store a value, without importing anything to find out."""
    save: Callable[[Any], Mapping[str, Any]]
    """Returns a value's files, each as bytes or as a `core.trees.Source`. Equal values give equal
    bytes."""
    load: Callable[[Files], object]
    """Returns an equal value of the same type. Nothing in the files is executed. What needs a
    stream rather than bytes takes `open_file(files, path)`."""
    digest: Callable[[Any], str] | None = None
    """Digests a value's content where that is quicker than writing its files."""
    library: str = ""
    """The top-level module whose classes, and classes derived from them, it is asked about; it is
    asked about every value when empty."""


def records(kind: type[T], format: str | None = None) -> Materialiser:
    """Make the materialiser of a msgspec struct or a dataclass with plain fields: JSON.

    Those of your own project are stored without it; this is for classes of installed libraries.

    Args:
        kind: The class. Nothing but this class is ever made from the files.
        format: A name that stays when the class moves; its module and name when omitted.
    """
    return Materialiser(
        format=format or f"record.{kind.__module__}.{kind.__qualname__}",
        accepts=lambda value: type(value) is kind,
        save=lambda value: {"record.json": msgspec.json.encode(value, order="deterministic")},
        load=lambda files: msgspec.json.decode(files["record.json"], type=kind),
    )


_registered: list[Materialiser] = []


def register(materialiser: Materialiser) -> None:
    """Let steps return, and take, values of further types, in this process.

    A later registration of a format takes the place of an earlier one.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass
        ... class Split:
        ...     train: list[int]
        ...     test: list[int]
        >>> register(records(Split))
    """
    _registered[:] = [item for item in _registered if item.format != materialiser.format]
    _registered.insert(0, materialiser)


def registered() -> tuple[Materialiser, ...]:
    """Return what was registered in this process, latest first."""
    return tuple(_registered)


class Kept(Mapping[str, bytes]):
    """A value's files, or those below a prefix, each read when it is asked for."""

    def __init__(self, files: Mapping[str, Content], prefix: str = "") -> None:
        self._files = files
        self._prefix = prefix

    def __getitem__(self, path: str) -> bytes:
        content = self._files[self._prefix + path]
        if isinstance(content, bytes):
            return content
        with content.open() as stream:
            return stream.read()

    def __iter__(self) -> Iterator[str]:
        start = len(self._prefix)
        return (path[start:] for path in self._files if path.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def open(self, path: str) -> BinaryIO:
        """Open a file without holding all of it in memory; whoever opens closes."""
        path = self._prefix + path
        if isinstance(self._files, StoredFiles):
            return self._files.open(path)
        content = self._files[path]
        return io.BytesIO(content) if isinstance(content, bytes) else content.open()


def open_file(files: Files, path: str) -> BinaryIO:
    """Open one of a value's files as a stream; whoever opens closes."""
    return files.open(path) if isinstance(files, Kept) else io.BytesIO(files[path])


class StagedFile:
    """Bytes on disk that nobody else sees; they are gone with the object, or with the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="trivet-")  # noqa: SIM115  # open while it lives
        weakref.finalize(self, self._file.close)

    @property
    def writer(self) -> BinaryIO:
        """The file, to write it once."""
        return self._file

    def open(self) -> BinaryIO:
        """Open it from the beginning. The place in it is shared: one reader at a time."""
        self._file.flush()
        stream = os.fdopen(os.dup(self._file.fileno()), "rb")
        stream.seek(0)
        return stream


def write_out(write: Callable[[BinaryIO], object], size_bytes: int) -> Content:
    """Let a library write a file: in memory when it will be small, on disk when it will be large.

    Args:
        write: Writes to the stream it is given, and leaves it open.
        size_bytes: About how many bytes there will be.
    """
    if size_bytes < LARGE_BYTES:
        stream = io.BytesIO()
        write(stream)
        return stream.getvalue()
    staged = StagedFile()
    write(staged.writer)
    return staged


def digest_files(files: Mapping[str, Content]) -> str:
    """Digest files by their paths and contents."""
    state = sha256()
    for path, content in sorted(files.items()):
        state.update(len(path.encode()).to_bytes(8, "big") + path.encode())
        if isinstance(content, bytes):
            state.update(len(content).to_bytes(8, "big"))
            state.update(content)
            continue
        with content.open() as stream:
            state.update(stream.seek(0, io.SEEK_END).to_bytes(8, "big"))
            stream.seek(0)
            while block := stream.read(_BLOCK_BYTES):
                state.update(block)
    return state.hexdigest()


def content_of(materialiser: Materialiser, value: object) -> str:
    """Digest a value by its content."""
    if materialiser.digest is not None:
        return materialiser.digest(value)
    return digest_files(materialiser.save(value))


def read_with(materialiser: Materialiser, files: Files) -> object:
    """Load a value, and say so when the files do not hold one.

    Raises:
        Corrupt: They do not.
    """
    try:
        return materialiser.load(files)
    except (LookupError, ValueError, OSError, EOFError, msgspec.MsgspecError) as error:
        if isinstance(error, TrivetError):
            raise
        raise Corrupt(
            f"a stored value of format {materialiser.format!r} does not read back: {error}",
            hint="Run `trivet fsck`.",
        ) from error


def is_instance(value: object, library: str, name: str) -> bool:
    """Say whether a value is of a library's class, without loading the library."""
    kind = getattr(sys.modules.get(library), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


@lru_cache(maxsize=4096)
def libraries_of(kind: type) -> frozenset[str]:
    """Return the top-level modules of a class and of what it derives from."""
    return frozenset(item.__module__.partition(".")[0] for item in kind.__mro__)
