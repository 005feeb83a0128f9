"""File trees by content: one blob per file, one per folder, one digest for the whole.

A folder's blob is MessagePack: a format word, then its entries `[name, kind, digest, size]`, sorted
by the UTF-8 bytes of the name; a folder's size is the sum of its files. Equal files give equal
digests whatever order, time or machine they come from (Merkle 1987, "A digital signature based on
a conventional encryption function"). Paths inside a tree are relative, with `/` between the parts.
"""

import io
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Literal, Protocol

import msgspec

from trivet.core.errors import Corrupt, Invalid, NotFound

_FORMAT = "trivet.folder.1"
_MAX_DEPTH = 200
_MAX_FILES = 1_000_000


class ByteStore(Protocol):
    """The part of the blob store that trees use."""

    def put(self, data: bytes | BinaryIO) -> str:
        """Store bytes durably and return their digest."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """Open stored bytes whose content was checked."""
        ...


class Source(Protocol):
    """Bytes that need not be in memory: they are read from a stream when their turn comes."""

    def open(self) -> BinaryIO:
        """Open them from the beginning; whoever opens closes."""
        ...


Content = bytes | Source
"""A file's bytes, or where to read them from."""


class StoredFile(msgspec.Struct, frozen=True):
    """A file's content as the blob store knows it."""

    digest: str
    size_bytes: int


class StoredTree(msgspec.Struct, frozen=True):
    """A whole tree: the digest of its root folder, how many files, and their bytes together."""

    digest: str
    files: int
    size_bytes: int


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    name: str
    kind: Literal["file", "folder"]
    digest: str
    size_bytes: int


class _Blob(msgspec.Struct, frozen=True, array_like=True):
    format: str
    entries: tuple[_Entry, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Blob)


def store_tree(blobs: ByteStore, files: Mapping[str, Content]) -> StoredTree:
    """Store files and their folders durably.

    Args:
        blobs: Where the bytes go.
        files: Path inside the tree to content. An empty mapping is the empty tree.

    Raises:
        Invalid: A path is absolute, has an empty part, `.` or `..`, or is both file and folder.
    """
    nothing = StoredFile("", 0)
    _nest(dict.fromkeys(files, nothing))  # every path is checked before the first byte is written
    stored = {path: _store_file(blobs, content) for path, content in files.items()}
    return join_tree(blobs, stored)


def join_tree(blobs: ByteStore, files: Mapping[str, StoredFile]) -> StoredTree:
    """Make a tree of files that are stored already (large ones, put as streams).

    Raises:
        Invalid: As `store_tree`.
    """
    return _store_folder(blobs, _nest(files))


def read_tree(blobs: ByteStore, digest: str) -> dict[str, StoredFile]:
    """List every file of a tree by its path, sorted by folder and name.

    Raises:
        NotFound: No blob has this digest.
        Corrupt: A folder's blob is no folder, or names what no tree may hold.
    """
    files: dict[str, StoredFile] = {}
    for path, entry in _walk(blobs, digest, "", 0):
        files[path] = StoredFile(entry.digest, entry.size_bytes)
        if len(files) > _MAX_FILES:
            raise Corrupt(f"tree {digest} names more than {_MAX_FILES} files", code="bad-tree")
    return files


def digests_below(blobs: ByteStore, digest: str) -> Iterator[str]:
    """Yield the digests of all files and folders in a tree, each as often as it is there.

    Raises:
        NotFound: No blob has this digest, or one of a folder below.
        Corrupt: A folder's blob is no folder (code `bad-tree`), or damaged.
    """
    waiting = [(digest, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth >= _MAX_DEPTH:
            raise Corrupt(f"tree {digest} is deeper than {_MAX_DEPTH} folders", code="bad-tree")
        for entry in _folder(blobs, folder):
            yield entry.digest
            if entry.kind == "folder":
                waiting.append((entry.digest, depth + 1))


def load_tree(blobs: ByteStore, digest: str) -> dict[str, bytes]:
    """Read every file of a tree into memory.

    Raises:
        NotFound: No blob has this digest.
        Corrupt: The tree or one of its files is not as it was recorded.
    """
    files = read_tree(blobs, digest)
    return {path: _content(blobs, path, file) for path, file in files.items()}


class StoredFiles(Mapping[str, bytes]):
    """The files of a tree by path; each is read when it is asked for.

    Raises:
        NotFound: No blob has this digest; of a file, when it is asked for.
        Corrupt: A folder's blob is no folder; a file is not as it was recorded.
    """

    def __init__(self, blobs: ByteStore, digest: str) -> None:
        self._blobs = blobs
        self._files = read_tree(blobs, digest)

    def __getitem__(self, path: str) -> bytes:
        return _content(self._blobs, path, self._files[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def open(self, path: str) -> BinaryIO:
        """Open a file whose content was checked, without holding all of it in memory."""
        return self._blobs.open(self._files[path].digest)


def load_file(blobs: ByteStore, digest: str, path: str) -> bytes:
    """Read one file of a tree without listing the rest.

    Raises:
        NotFound: The tree has no file of this path, or no blob has the digest.
        Corrupt: The tree or the file is not as it was recorded.
    """
    *folders, name = split_path(path)
    for folder in folders:
        entry = _find(blobs, digest, folder, "folder")
        if entry is None:
            raise _no_file(path)
        digest = entry.digest
    found = _find(blobs, digest, name, "file")
    if found is None:
        raise _no_file(path)
    return _content(blobs, path, StoredFile(found.digest, found.size_bytes))


def split_path(path: object) -> tuple[str, ...]:
    """Return the parts of a path inside a tree.

    Raises:
        Invalid: It is not relative text with `/` between 1 to 200 parts, or a part is empty, `.`,
            `..`, no UTF-8, or holds a backslash or a zero character.
    """
    if isinstance(path, str):
        parts = tuple(path.split("/"))
        if len(parts) <= _MAX_DEPTH and all(map(_is_name, parts)):
            return parts
    raise Invalid(
        f"a path in a file tree is a {type(path).__name__} that is no relative path; expected "
        "parts joined by '/', none of them empty, '.' or '..'",
        code="bad-path",
        hint="Pass a path such as 'images/0001.png'.",
    )


def _is_name(part: str) -> bool:
    if part in {"", ".", ".."} or not {"/", "\\", "\0"}.isdisjoint(part):
        return False
    try:
        part.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Folder:
    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.folders: dict[str, _Folder] = {}


def _nest(files: Mapping[str, StoredFile]) -> _Folder:
    root = _Folder()
    for path, file in files.items():
        *folders, name = split_path(path)
        place = root
        for folder in folders:
            if folder in place.files:
                raise _both(path)
            place = place.folders.setdefault(folder, _Folder())
        if name in place.folders:
            raise _both(path)
        place.files[name] = file
    return root


def _store_folder(blobs: ByteStore, folder: _Folder) -> StoredTree:
    entries = [
        _Entry(name, "file", file.digest, file.size_bytes) for name, file in folder.files.items()
    ]
    count = len(entries)
    for name, below in folder.folders.items():
        stored = _store_folder(blobs, below)
        entries.append(_Entry(name, "folder", stored.digest, stored.size_bytes))
        count += stored.files
    entries.sort(key=lambda entry: entry.name.encode())
    size_bytes = sum(entry.size_bytes for entry in entries)
    digest = blobs.put(_encode(_Blob(_FORMAT, tuple(entries))))
    return StoredTree(digest, count, size_bytes)


def _walk(blobs: ByteStore, digest: str, prefix: str, depth: int) -> Iterator[tuple[str, _Entry]]:
    if depth >= _MAX_DEPTH:
        raise Corrupt(f"tree {digest} is deeper than {_MAX_DEPTH} folders", code="bad-tree")
    for entry in _folder(blobs, digest):
        path = prefix + entry.name
        if entry.kind == "file":
            yield path, entry
        else:
            yield from _walk(blobs, entry.digest, path + "/", depth + 1)


def _folder(blobs: ByteStore, digest: str) -> tuple[_Entry, ...]:
    with blobs.open(digest) as stream:
        content = stream.read()
    try:
        folder = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"blob {digest} is no folder of a file tree: {error}",
            code="bad-tree",
            hint="Run `trivet fsck`.",
        ) from error
    names = [entry.name for entry in folder.entries]
    if (
        folder.format != _FORMAT
        or not all(map(_is_name, names))
        or names != sorted(set(names), key=str.encode)
    ):
        raise Corrupt(
            f"folder {digest} of a file tree has a form that was never written",
            code="bad-tree",
            hint="Run `trivet fsck`.",
        )
    return folder.entries


def _store_file(blobs: ByteStore, content: Content) -> StoredFile:
    if isinstance(content, bytes):
        return StoredFile(blobs.put(content), len(content))
    with content.open() as stream:
        digest = blobs.put(stream)
        # What was read, not what a later stat says: the file may grow meanwhile.
        return StoredFile(digest, stream.seek(0, io.SEEK_CUR))


def _find(blobs: ByteStore, digest: str, name: str, kind: str) -> _Entry | None:
    matching = (e for e in _folder(blobs, digest) if e.name == name and e.kind == kind)
    return next(matching, None)


def _content(blobs: ByteStore, path: str, file: StoredFile) -> bytes:
    with blobs.open(file.digest) as stream:
        content = stream.read()
    if len(content) != file.size_bytes:
        raise Corrupt(
            f"file {path!r} of a tree has {len(content)} bytes; expected {file.size_bytes}",
            code="bad-tree",
            hint="Run `trivet fsck`.",
        )
    return content


def _both(path: str) -> Invalid:
    return Invalid(
        f"{path!r} would be both a file and a folder of the tree; expected one of them",
        code="bad-path",
        hint="Rename one of the two.",
    )


def _no_file(path: str) -> NotFound:
    return NotFound(
        f"the tree has no file {path!r}", code="no-file", hint="List its files with read_tree."
    )
