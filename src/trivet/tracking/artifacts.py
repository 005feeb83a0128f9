"""Artifacts: files that belong to somebody, by relative path, their bytes kept by digest.

Bytes are stored before the fact that names them; the fact and the row by which it is listed are
one commit. Equal bytes are stored once, whoever they belong to.
"""

import mimetypes
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import BinaryIO, Final, Self

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Fact, Scope, ViewPut, draft
from trivet.core.ids import new_id, sha256_hex
from trivet.core.ports import BlobWriter, Stores
from trivet.tracking.facts import ArtifactsDeleted, ArtifactStored
from trivet.tracking.paths import clean_path, folders_of
from trivet.tracking.sharing import SharedFiles
from trivet.tracking.shelves import Artifact, FolderItem, Shelves

_BLOCK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 8 << 20
_MAX_OWNER_CHARACTERS: Final = 300
_UNKNOWN: Final = "application/octet-stream"
_TEXTS: Final = frozenset({"mlmodel", "mlproject"})
"""Names without an ending of files that are text."""
# Made without the machine's own lists: a file has one type, wherever it is stored.
_TYPES: Final = mimetypes.MimeTypes()


def _type_of(path: str) -> str:
    if path.rpartition("/")[2].lower() in _TEXTS:
        return "text/plain"
    return _TYPES.guess_type(path)[0] or _UNKNOWN


def owner_of(kind: str, id: str) -> str:
    """Return whose artifacts those of a run, model, trace or experiment are."""
    return f"{kind}:{id}"


class Total(msgspec.Struct, frozen=True):
    """How many files somebody has, and their bytes together."""

    files: int
    size_bytes: int


class Artifacts:
    """Files of runs, models, experiments and traces, in one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope
        self._shelves = Shelves(stores.views, scope.project)
        self._shared = SharedFiles(stores.blobs.open)
        self._coming = _Coming()

    def acting_for(self, actor: str) -> "Artifacts":
        """Return the same in somebody else's name."""
        other = copy(self)
        other._scope = Scope(project=self._scope.project, actor=actor)  # noqa: SLF001  # one of us
        return other

    def put(
        self, owner: str, path: str, source: bytes | BinaryIO, *, media_type: str | None = None
    ) -> Artifact:
        """Store a file durably; what stood at the path is replaced.

        Args:
            owner: Whose it is.
            path: Where it shall stand.
            source: Its bytes, or a stream that is read to its end.
            media_type: Such as `image/png`; guessed from the name when None.

        Raises:
            Invalid: The path is none (code `bad-path`), or a file would be where a folder is, or
                a folder where a file is (`path-taken`).
        """
        if isinstance(source, bytes):
            plain = self._free(owner, path)
            return self._record(
                owner, plain, self._stores.blobs.put(source), len(source), media_type
            )
        with self.begin(owner, path, media_type=media_type) as writer:
            while block := source.read(_BLOCK_BYTES):
                writer.write(block)
            return writer.finish()

    def begin(self, owner: str, path: str, *, media_type: str | None = None) -> "ArtifactWriter":
        """Begin a file whose bytes arrive piece by piece.

        Raises:
            Invalid: As `put`.
        """
        plain = self._free(owner, path)

        def record(digest: str, size_bytes: int) -> Artifact:
            return self._record(owner, plain, digest, size_bytes, media_type)

        return ArtifactWriter(self._stores.blobs.begin(), record)

    def get(self, owner: str, path: str) -> Artifact:
        """Return what is known of a file.

        Raises:
            NotFound: Nothing stands at the path, or a folder does.
            Invalid: The path is none.
        """
        plain = clean_path(path)
        found = self._shelves.find(_checked(owner), plain)
        if found is None:
            raise _no_artifact(plain)
        return found

    def open(self, owner: str, path: str) -> tuple[Artifact, BinaryIO]:
        """Open a file; its whole content was checked.

        Raises:
            NotFound: Nothing stands at the path, or a folder does.
            Invalid: The path is none.
            Corrupt: The bytes are not what was stored.
        """
        artifact = self.get(owner, path)
        return artifact, self.read(artifact)

    def read(self, artifact: Artifact, *, in_ranges: bool = False) -> BinaryIO:
        """Open the bytes of a file that was found; its whole content was checked.

        Args:
            artifact: The file.
            in_ranges: Others may want more of the same file soon: if it is large, it counts as
                checked for half a minute.

        Raises:
            Corrupt: They are not what was stored.
        """
        if in_ranges and artifact.size_bytes > _LARGE_BYTES:
            return self._shared.open(artifact.digest)
        return self._stores.blobs.open(artifact.digest)

    def list(self, owner: str, folder: str = "") -> tuple[FolderItem, ...]:
        """List a folder by name. One that is not there, or is a file, has nothing in it.

        Raises:
            Invalid: The folder's path is none.
        """
        items = self._shelves.items(_checked(owner), clean_path(folder, is_folder=True))
        return tuple(sorted(items, key=lambda item: item.name))

    def delete(self, owner: str, path: str) -> int:
        """Delete a file, or a folder with all that is in it; return how many files that were.

        Args:
            owner: Whose they are.
            path: A file or a folder; empty: all of them, be it none.

        Raises:
            NotFound: Nothing stands at the path.
            Invalid: The path is none.
        """
        plain = clean_path(path, is_folder=True)
        file = self._shelves.find(_checked(owner), plain) if plain else None
        files = [file] if file else list(self._shelves.below(owner, plain))
        if not files and plain:
            raise _no_artifact(plain)
        if files:
            fact = new_id()
            deleted = ArtifactsDeleted(owner=owner, path=plain, files=len(files))
            rows = [self._shelves.emptied(each, fact) for each in files]
            self._commit(f"delete artifact {plain or 'all'}", fact, deleted, rows)
            self._shelves.tidy(owner, fact)
        return len(files)

    def digest(self, owner: str, folder: str = "") -> str:
        """Digest a file, or all files of a folder: their paths and their bytes."""
        plain = clean_path(folder, is_folder=True)
        file = self._shelves.find(_checked(owner), plain) if plain else None
        files = [file] if file else self._shelves.below(owner, plain)
        return sha256_hex(*(f"{each.path}\n{each.digest}".encode() for each in files))

    def total(self, owner: str) -> Total:
        """Count what an owner has."""
        sizes = [each.size_bytes for each in self._shelves.below(_checked(owner), "")]
        return Total(len(sizes), sum(sizes))

    def _free(self, owner: str, path: str) -> str:
        """Return the clean path at which a file may stand."""
        plain = clean_path(path)
        for folder in folders_of(plain):
            if self._shelves.find(_checked(owner), folder):
                raise _taken(plain, folder)
        if self._shelves.has_below(_checked(owner), plain):
            raise _taken(plain, plain)
        return plain

    def _record(
        self, owner: str, path: str, digest: str, size_bytes: int, media_type: str | None
    ) -> Artifact:
        """Let stored bytes stand at a clean path: the fact and its row in one commit."""
        artifact = Artifact(
            fact=new_id(),
            owner=owner,
            path=path,
            digest=digest,
            size_bytes=size_bytes,
            media_type=media_type or _type_of(path),
        )
        stored = ArtifactStored(
            owner=owner,
            path=path,
            digest=digest,
            size_bytes=size_bytes,
            media_type=artifact.media_type,
        )
        with self._coming.at(owner, path):
            self._free(owner, path)
            rows = [self._shelves.standing(artifact)]
            self._commit(f"artifact {path}", artifact.fact, stored, rows)
        return artifact

    def _commit(self, reason: str, identifier: str, fact: Fact, rows: Sequence[ViewPut]) -> None:
        drafted = draft(fact, id=identifier)
        self._stores.ledger.commit(self._scope.batch(reason, [drafted], rows=rows))


class ArtifactWriter:
    """A file on its way in: finish it, or leave nothing behind.

    Args:
        blob: Where the bytes go.
        record: Given digest and size, lets them stand where they belong.
    """

    def __init__(self, blob: BlobWriter, record: Callable[[str, int], Artifact]) -> None:
        self._blob = blob
        self._record = record
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._blob.write(data)
        self._size_bytes += len(data)

    def finish(self) -> Artifact:
        """Store durably what was written, and let it stand at its path.

        Raises:
            Invalid: The path was taken meanwhile (code `path-taken`).
        """
        return self._record(self._blob.finish(), self._size_bytes)

    def discard(self) -> None:
        """Leave nothing behind; after `finish` it does nothing."""
        self._blob.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class _Coming:
    """Files whose commits are under way in this process.

    Commits are made side by side, to share the disk's confirmation, and what one of them writes is
    seen by the others only afterwards. So a file and a folder of one name could both come to be.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: Counter[tuple[str, str]] = Counter()
        self._folders: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def at(self, owner: str, path: str) -> Generator[None]:
        """Hold a path while a file comes to stand there; others may hold the very same.

        Raises:
            Invalid: One that is under way needs a folder there, or is where this needs a folder.
        """
        folders = [(owner, folder) for folder in folders_of(path)]
        with self._lock:
            clash = next((key for key in folders if self._files[key]), None)
            if clash or self._folders[owner, path]:
                raise _taken(path, clash[1] if clash else path)
            self._files[owner, path] += 1
            self._folders.update(folders)
        try:
            yield
        finally:
            with self._lock:
                self._files -= Counter([(owner, path)])
                self._folders -= Counter(folders)


def _checked(owner: str) -> str:
    if not owner or len(owner) > _MAX_OWNER_CHARACTERS or not owner.isprintable():
        raise Invalid(
            "owner is empty, too long or not printable; expected an identifier", code="bad-owner"
        )
    return owner


def _taken(path: str, place: str) -> Invalid:
    what = "a folder" if path == place else "a file"
    return Invalid(
        f"{path!r} cannot be stored: {place!r} is {what}",
        code="path-taken",
        hint="Choose another name, or delete what is there.",
    )


def _no_artifact(path: str) -> NotFound:
    return NotFound(
        f"no artifact stands at {path!r}",
        code="no-artifact",
        hint="List the folder; names differ by upper and lower case, too.",
    )
