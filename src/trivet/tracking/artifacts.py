"""Artifacts: files that belong to somebody, by relative path, their bytes kept by digest.

Bytes are stored before the fact that names them; the fact and the row by which it is listed are
one commit. Equal bytes are stored once, whoever they belong to.
"""

import mimetypes
from collections.abc import Callable, Sequence
from copy import copy
from typing import BinaryIO, Final, Self

import msgspec

from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Batch, Inbox, Scope, draft
from trivet.core.ids import new_id, sha256_hex
from trivet.core.ports import BlobWriter, Stores
from trivet.tracking.facts import ArtifactsDeleted, ArtifactStored
from trivet.tracking.freezing import FrozenFiles, frozen_meanwhile
from trivet.tracking.paths import clean_path, folders_of
from trivet.tracking.sharing import SharedFiles
from trivet.tracking.shelves import Artifact, FolderItem, Shelves

_BLOCK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 8 << 20
_ATTEMPTS: Final = 100
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
        self._frozen = FrozenFiles(stores.ledger, scope.project)

    def acting_for(self, actor: str, stores: Stores | None = None) -> "Artifacts":
        """Return the same in somebody else's name, and through other doors to the same stores."""
        other = copy(self)
        other._stores = stores or self._stores  # noqa: SLF001  # one of us
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
            Forbidden: What stands there is frozen (code `frozen`).
        """
        if isinstance(source, bytes):
            plain = self._changeable(owner, path)
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
            Invalid, Forbidden: As `put`.
        """
        plain = self._changeable(owner, path)

        def record(digest: str, size_bytes: int) -> Artifact:
            return self._record(owner, plain, digest, size_bytes, media_type)

        return ArtifactWriter(self._stores.blobs.begin(), record)

    def place(self, found: Artifact, *, arrival: str) -> Artifact:
        """Let bytes that are stored already stand at a path, as they stood elsewhere.

        Args:
            found: Owner, path, digest, size and type.
            arrival: Names it among what arrives from elsewhere: it counts once.

        Raises:
            Invalid, Forbidden: As `put`; but what stands there just so may be frozen.
            Conflict: It has arrived before (code `seen`).
        """
        plain = self._free(found.owner, found.path)
        try:
            return self._record(
                found.owner, plain, found.digest, found.size_bytes, found.media_type, arrival
            )
        except Forbidden:
            standing = self._shelves.find(found.owner, plain)
            if standing is None or standing.digest != found.digest:
                raise
            return standing

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

    def delete(self, owner: str, path: str, *, arrival: str = "") -> int:
        """Delete a file, or a folder with all that is in it; return how many files that were.

        Args:
            owner: Whose they are.
            path: A file or a folder; empty: all of them, be it none.
            arrival: Names it among what arrives from elsewhere: it counts once.

        Raises:
            NotFound: Nothing stands at the path.
            Invalid: The path is none.
            Forbidden: It is frozen, or something in it is (code `frozen`).
            Conflict: It has arrived before (code `seen`).
        """
        plain = clean_path(path, is_folder=True)
        self._frozen.demand_free(_checked(owner), plain)
        for _ in range(_ATTEMPTS):
            files = self._standing(owner, plain)
            if not files and plain:
                raise _no_artifact(plain)
            if not files or self._emptied(owner, plain, files, arrival):
                return len(files)
        raise Conflict(
            f"files at {plain or 'the top'!r} are replaced faster than they can be deleted",
            code="busy",
        )

    def digest(self, owner: str, folder: str = "") -> str:
        """Digest a file, or all files of a folder: their paths and their bytes."""
        files = self._standing(_checked(owner), clean_path(folder, is_folder=True))
        return sha256_hex(*(f"{each.path}\n{each.digest}".encode() for each in files))

    def total(self, owner: str) -> Total:
        """Count what an owner has."""
        sizes = [each.size_bytes for each in self._shelves.below(_checked(owner), "")]
        return Total(len(sizes), sum(sizes))

    def _changeable(self, owner: str, path: str) -> str:
        """Return the clean path at which a file may stand, and where nothing is frozen."""
        plain = self._free(owner, path)
        self._frozen.demand_free(owner, plain)
        return plain

    def _standing(self, owner: str, plain: str) -> Sequence[Artifact]:
        file = self._shelves.find(owner, plain) if plain else None
        return (file,) if file else tuple(self._shelves.below(owner, plain))

    def _emptied(
        self, owner: str, plain: str, files: Sequence[Artifact], arrival: str = ""
    ) -> bool:
        """Delete files; False when one of them was replaced meanwhile."""
        fact = new_id()
        deleted = ArtifactsDeleted(owner=owner, path=plain, files=len(files))
        rows = [self._shelves.emptied(each, fact) for each in files]
        heads = self._frozen.absences(owner, (each.path for each in files))
        reason = f"delete artifact {plain or 'all'}"
        try:
            self._commit(
                self._scope.batch(
                    reason,
                    [draft(deleted, id=fact)],
                    rows=rows,
                    heads=heads,
                    inbox=self._arrived(arrival),
                )
            )
        except Conflict as error:
            if error.code != "row-changed":
                raise
            return False
        self._shelves.tidy(owner, fact)
        return True

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
        self,
        owner: str,
        path: str,
        digest: str,
        size_bytes: int,
        media_type: str | None,
        arrival: str = "",
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
        batch = self._scope.batch(
            f"artifact {path}",
            [draft(stored, id=artifact.fact)],
            rows=[self._shelves.standing(artifact)],
            heads=self._frozen.absences(owner, [path]),
            inbox=self._arrived(arrival),
        )
        free = tuple(self._shelves.free(owner, path))
        try:
            self._commit(msgspec.structs.replace(batch, free=free))
        except Conflict as error:
            if error.code != "row-exists":
                raise
            self._free(owner, path)
            raise _taken(path, path) from error  # and free again in this moment
        return artifact

    def _arrived(self, arrival: str) -> tuple[Inbox, ...]:
        source = f"artifacts/{self._scope.project}"
        return (Inbox(source=source, key=arrival),) if arrival else ()

    def _commit(self, batch: Batch) -> None:
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            if (frozen := frozen_meanwhile(error)) is not None:
                raise frozen from error
            raise


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
