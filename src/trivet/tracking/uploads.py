"""Uploads in parts: a large file that comes as many pieces, in any order, over many connections.

An upload is a row, and so is each part; parts are blobs of their own until the whole is put
together and stands where it belongs. Nothing of this is a fact: an upload that nobody completes
is only rows and blobs, and is swept away a week later.

A part's blob begins with random bytes. So it is like no other blob, and can be deleted without
asking who else has the same bytes.
"""

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import timedelta
from hashlib import sha256
from typing import Final, Self

import msgspec

from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.ids import new_id
from trivet.core.ports import BlobWriter, Row, Stores, View
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.paths import clean_path
from trivet.tracking.shelves import Artifact

UPLOADS: Final = View(
    name="artifact-uploads",
    columns={
        "id": "text",
        "project": "text",
        "owner": "text",
        "path": "text",
        "parts": "integer",
        "key_digest": "text",
        "begun": "integer",
        "state": "text",
    },
    key=("id",),
    indexes=(("begun",),),
)
PARTS: Final = View(
    name="artifact-parts",
    columns={"upload": "text", "number": "integer", "digest": "text", "size_bytes": "integer"},
    key=("upload", "number"),
)
MAX_PARTS: Final = 10_000
KEPT: Final = timedelta(days=7)
"""How long an upload may take; one that is done is remembered as long, for who asks again."""
_SALT_BYTES: Final = 32
_BLOCK_BYTES: Final = 1 << 20
_LOCKS: Final = 64


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that was begun. Whoever has the key may send its parts."""

    id: str
    key: str
    parts: int


class Uploads:
    """Uploads in parts.

    Args:
        stores: Where parts and rows are.
        artifacts: Where the whole goes.
        project: Whose uploads they are.
        clock: Tells the present.
    """

    def __init__(self, stores: Stores, artifacts: Artifacts, project: str, clock: Clock) -> None:
        stores.views.declare(UPLOADS)
        stores.views.declare(PARTS)
        self._views = stores.views
        self._blobs = stores.blobs
        self._artifacts = artifacts
        self._project = project
        self._clock = clock
        self._completing = [threading.Lock() for _ in range(_LOCKS)]

    def acting_for(self, actor: str) -> "Uploads":
        """Return the same in somebody else's name."""
        other = copy(self)
        other._artifacts = self._artifacts.acting_for(actor)  # noqa: SLF001  # one of us
        return other

    def create(self, owner: str, path: str, parts: int) -> Upload:
        """Begin an upload, durably; sweep old ones away meanwhile.

        Raises:
            Invalid: The path is none or taken, or the parts are not 1 to 10,000.
        """
        if not 1 <= parts <= MAX_PARTS:
            raise Invalid(f"num_parts is {parts}; expected 1 to {MAX_PARTS}", code="bad-parts")
        self._artifacts.begin(owner, path).discard()
        self._sweep()
        upload = Upload(id=new_id(), key=secrets.token_urlsafe(32), parts=parts)
        row: Row = {"id": upload.id, "project": self._project, "owner": owner, "parts": parts}
        row |= {
            "path": clean_path(path),
            "key_digest": _digest(upload.key),
            "begun": self._now(),
            "state": "open",
        }
        self._views.put(UPLOADS.name, [row])
        return upload

    def check_part(self, upload: str, number: int, key: str) -> None:
        """Check, before any byte of it is read, that a part may be sent.

        Raises:
            Forbidden: There is no such upload, or the key is not its own (code `bad-token`).
            Invalid: The number is not one of the upload's.
            Conflict: The upload is over.
        """
        row = self._find(upload)
        if row is None or not secrets.compare_digest(row["key_digest"], _digest(key)):
            raise Forbidden(
                "the address of this part is not valid", code="bad-token", hint="Begin an upload."
            )
        if row["state"] != "open":
            raise _over()
        if not 1 <= number <= row["parts"]:
            raise Invalid(f"part {number} is none of {row['parts']}", code="bad-part")

    def begin_part(self, upload: str, number: int, key: str) -> "PartWriter":
        """Begin a part; what was sent under its number before is replaced.

        Raises:
            Forbidden, Invalid, Conflict: As `check_part`.
        """
        self.check_part(upload, number, key)

        def record(digest: str, size_bytes: int) -> None:
            before = self._views.find(PARTS.name, where={"upload": upload, "number": number})
            part: Row = {"upload": upload, "number": number, "digest": digest}
            self._views.put(PARTS.name, [{**part, "size_bytes": size_bytes}])
            for old in before:
                self._blobs.delete(old["digest"])

        return PartWriter(self._blobs.begin(), record)

    def complete(self, owner: str, path: str, upload: str, tags: Mapping[int, str]) -> Artifact:
        """Put the parts together, let the whole stand at its path, and let go of the parts.

        Completing again what is complete changes nothing.

        Args:
            owner: Whose file it is, as when the upload was begun.
            path: Where it shall stand, as then.
            upload: The upload's identifier.
            tags: What each part's sender was answered, by number from 1.

        Raises:
            NotFound: There is no such upload for this path.
            Conflict: It was given up (code `upload-over`).
            Invalid: A part is missing, or is not the one that was answered.
        """
        # Who asks again because the first answer takes its time waits for that one's end.
        with self._completing[hash(upload) % _LOCKS]:
            row = self._mine(owner, path, upload)
            if row["state"] == "done":
                return self._artifacts.get(owner, path)
            parts = self._chosen(row, tags)
            with self._artifacts.begin(owner, path) as whole:
                for block in self._blocks(parts):
                    whole.write(block)
                artifact = whole.finish()
            self._end(row, "done")
            return artifact

    def abort(self, owner: str, path: str, upload: str) -> None:
        """Give an upload up and let go of its parts; of one that is over, nothing changes.

        Raises:
            NotFound: There is no such upload for this path.
        """
        row = self._mine(owner, path, upload)
        if row["state"] == "open":
            self._end(row, "aborted")

    def _blocks(self, parts: list[Row]) -> Iterator[bytes]:
        for part in parts:
            with self._blobs.open(part["digest"]) as stream:
                stream.seek(_SALT_BYTES)
                while block := stream.read(_BLOCK_BYTES):
                    yield block

    def _chosen(self, row: Row, tags: Mapping[int, str]) -> list[Row]:
        if row["state"] != "open":
            raise _over()
        stored = self._parts(row["id"])
        if sorted(tags) != list(range(1, row["parts"] + 1)):
            raise Invalid(
                f"the parts are {len(tags)}; expected those numbered 1 to {row['parts']}",
                code="bad-parts",
            )
        for number, tag in tags.items():
            if number not in stored or tag.strip('"') != stored[number]["digest"]:
                raise Invalid(
                    f"part {number} was not stored as it is named",
                    code="bad-part",
                    hint="Send it again and name it by the ETag of the answer.",
                )
        return [stored[number] for number in sorted(tags)]

    def _end(self, row: Row, state: str) -> None:
        # First nobody may add to it any more, then its parts go.
        self._views.put(UPLOADS.name, [{**row, "state": state}])
        for part in self._parts(row["id"]).values():
            self._blobs.delete(part["digest"])
        self._views.remove(PARTS.name, {"upload": row["id"]})

    def _sweep(self) -> None:
        oldest = self._now() - int(KEPT.total_seconds() * 1e6)
        for row in self._views.find(UPLOADS.name, order="begun", limit=100):
            if row["begun"] >= oldest:
                return
            self._end(row, "aborted")
            self._views.remove(UPLOADS.name, {"id": row["id"]})

    def _find(self, upload: str) -> Row | None:
        rows = self._views.find(UPLOADS.name, where={"id": upload}, limit=1)
        return rows[0] if rows else None

    def _mine(self, owner: str, path: str, upload: str) -> Row:
        row = self._find(upload)
        place = (self._project, owner, clean_path(path))
        if row is None or (row["project"], row["owner"], row["path"]) != place:
            raise NotFound(
                "no upload of this identifier was begun for this path",
                code="no-upload",
                hint="Begin a new one.",
            )
        return row

    def _parts(self, upload: str) -> dict[int, Row]:
        rows = self._views.find(PARTS.name, where={"upload": upload}, limit=MAX_PARTS)
        return {row["number"]: row for row in rows}

    def _now(self) -> int:
        return to_micros(self._clock.now())


class PartWriter:
    """A part on its way in: finish it, or leave nothing behind."""

    def __init__(self, blob: BlobWriter, record: Callable[[str, int], None]) -> None:
        self._blob = blob
        self._record = record
        self._size_bytes = 0
        blob.write(os.urandom(_SALT_BYTES))

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._blob.write(data)
        self._size_bytes += len(data)

    def finish(self) -> str:
        """Store the part durably; return what names it when the whole is completed."""
        digest = self._blob.finish()
        self._record(digest, self._size_bytes)
        return digest

    def discard(self) -> None:
        """Leave nothing behind; after `finish` it does nothing."""
        self._blob.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _over() -> Conflict:
    return Conflict("the upload is over", code="upload-over", hint="Begin a new one.")
