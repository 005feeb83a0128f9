"""Merging series segments: many small ones, in order of time, become few, in order of series.

`manifest` names the merged segments (in `merged/`) and the ones they replace. It is renamed into
place between writing the new ones and removing the old ones, so that a reader sees every point
at any moment, and a crash leaves at worst files that the next merge removes.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import blake3
import msgspec

from trivet.adapters.files import chunks, segments
from trivet.adapters.files.segments import SUFFIX, SegmentWriter
from trivet.core import disk
from trivet.core.errors import Corrupt
from trivet.core.ports import Points, SeriesKey

MERGED = "merged"
MANIFEST = "manifest"
LOCK = "merge.lock"
MERGE_BYTES = 512 << 20
_CHUNK_POINTS = 1 << 16


class Manifest(msgspec.Struct, frozen=True):
    """Which merged segments count, and which others count no longer."""

    merged: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder; an empty one when there was no merge yet.

    Raises:
        Corrupt: It is damaged.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return Manifest()
    body, _, check = content.rstrip(b"\n").rpartition(b"\n")
    if content.endswith(b"\n") and check == _check(body):
        return msgspec.json.decode(body, type=Manifest)
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


def sources(folder: Path, manifest: Manifest) -> list[Path]:
    """Return the segments that hold the series, as far as the folder's listing shows them."""
    merged = [folder / MERGED / (name + SUFFIX) for name in manifest.merged]
    replaced = set(manifest.replaced)
    return merged + [
        folder / (name + SUFFIX) for name in segments.names(folder) if name not in replaced
    ]


def merge(
    folder: Path,
    keys_of: Callable[[Path], Iterable[SeriesKey]],
    read: Callable[[SeriesKey, list[Path]], Points],
) -> None:
    """Merge the sealed segments of a folder. The caller holds the merge lock.

    Args:
        folder: The folder of the series.
        keys_of: Which series a segment holds.
        read: The points of a series in some segments, ordered.
    """
    manifest = read_manifest(folder)
    _remove_leftovers(folder, manifest)
    old = [
        place
        for place in sources(folder, manifest)
        if _is_sealed(place) and (place.parent == folder or place.stat().st_size < MERGE_BYTES)
    ]
    raw = [place for place in old if place.parent == folder]
    if not raw and len(old) < 2:
        return
    disk.make_folder(folder / MERGED)
    names = _write(folder / MERGED, old, keys_of, read)
    gone = {place.name.removesuffix(SUFFIX) for place in old}
    write_manifest(
        folder,
        Manifest(
            merged=(*(name for name in manifest.merged if name not in gone), *names),
            replaced=tuple(place.name.removesuffix(SUFFIX) for place in raw),
        ),
    )
    _remove_leftovers(folder, read_manifest(folder))


def _write(
    folder: Path,
    old: list[Path],
    keys_of: Callable[[Path], Iterable[SeriesKey]],
    read: Callable[[SeriesKey, list[Path]], Points],
) -> list[str]:
    """Write the points of some segments into new ones, series by series; return their names."""
    holders: dict[SeriesKey, list[Path]] = {}
    for place in old:
        for key in keys_of(place):
            holders.setdefault(key, []).append(place)
    writer, index, names = None, chunks.Index(), list[str]()
    for key in sorted(holders):
        points = read(key, holders[key])
        if writer is None:
            writer, index = SegmentWriter(folder, "series", segments.unique), chunks.Index()
            names.append(writer.name)
        for start in range(0, len(points.steps), _CHUNK_POINTS):
            part = slice(start, start + _CHUNK_POINTS)
            chunk = Points(points.steps[part], points.times[part], points.values[part])
            encoded = chunks.encode([(key, chunk)])
            index.add(encoded.rows, writer.add([encoded.payload])[0])
        if writer.length > MERGE_BYTES:
            writer.seal(index.pack())
            writer = None
    if writer:
        writer.seal(index.pack())
    return names


def _is_sealed(place: Path) -> bool:
    with segments.opened(place) as segment:
        return segment.extent(dead=False).seal is not None


def _remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Remove the segments that were replaced, and those of a merge that came to nothing."""
    gone = [folder / (name + SUFFIX) for name in manifest.replaced]
    merged = folder / MERGED
    gone += [
        merged / (name + SUFFIX) for name in segments.names(merged) if name not in manifest.merged
    ]
    if not gone:
        return
    with disk.translated("removing merged segments"):
        # The manifest that replaces them may be the last thing a dead process did, not yet durable.
        disk.sync_folder(folder)
        for place in gone:
            place.unlink(missing_ok=True)
        disk.sync_folder(folder)
