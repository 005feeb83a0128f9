"""Which segments of a folder count: `manifest` names the merged ones and those they replace.

It is renamed into place between writing a merged segment and removing the old ones, so that a
reader sees every point at any moment, and a crash leaves at worst files that the next merge
removes.
"""

from pathlib import Path
from typing import Final, TypeVar

import blake3
import msgspec

from trivet.adapters.files.segments import SUFFIX
from trivet.core import disk
from trivet.core.errors import Corrupt

T = TypeVar("T")

MERGED: Final = "merged"
MANIFEST: Final = "manifest"


class Merged(msgspec.Struct, frozen=True):
    """A merged segment, and the number of the merge that wrote it."""

    name: str
    generation: int


class Replaced(msgspec.Struct, frozen=True):
    """A segment that was merged, which stays for a while so that the feed can be read from it."""

    name: str
    generation: int
    at_ms: int


class Manifest(msgspec.Struct, frozen=True):
    """Which merged segments count, and which others count no longer.

    `generation` is the number of the last merge; the segments that merges up to `removed` have
    replaced may be gone.
    """

    generation: int = 0
    removed: int = 0
    merged: tuple[Merged, ...] = ()
    replaced: tuple[Replaced, ...] = ()


class Manifests:
    """Reads the manifest of a folder, and decodes it only when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / MANIFEST
        self._last = b"", Manifest()

    def read(self) -> Manifest:
        """Return the manifest; an empty one when there was no merge yet.

        Raises:
            Corrupt: It is damaged.
        """
        try:
            content = self._place.read_bytes()
        except FileNotFoundError:
            return Manifest()
        before, manifest = self._last
        if content != before:
            manifest = decode_manifest(content, Manifest)
            self._last = content, manifest
        return manifest


def decode_manifest(content: bytes, type_: type[T]) -> T:
    """Check and read the content of a manifest, of this format or an older one.

    Raises:
        Corrupt: It is damaged.
    """
    body, _, check = content.rstrip(b"\n").rpartition(b"\n")
    if content.endswith(b"\n") and check == _check(body):
        return msgspec.json.decode(body, type=type_)
    raise Corrupt(
        "the manifest of the series is damaged",
        code="corrupt-manifest",
        hint="Run `trivet fsck`, then restore the manifest from a backup.",
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a folder, durably and at once."""
    body = msgspec.json.encode(manifest)
    disk.put_file(folder / MANIFEST, body + b"\n" + _check(body) + b"\n")


def _check(body: bytes) -> bytes:
    return blake3.blake3(body).hexdigest().encode()


def place_of_merged(folder: Path, name: str) -> Path:
    """Return where a merged segment lies."""
    return folder / MERGED / (name + SUFFIX)


def place_of_raw(folder: Path, name: str) -> Path:
    """Return where a segment lies that a process appends to."""
    return folder / (name + SUFFIX)
