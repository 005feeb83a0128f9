"""Segments of format 1 become segments of the present format: the same points in other frames.

A frame of format 1 holds a table of its chunks, their keys, and the columns of each chunk.
"""

import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from trivet.adapters.files import layout, segments
from trivet.adapters.files.points import chunks
from trivet.adapters.files.points.figures import POINT_BYTES
from trivet.adapters.files.points.manifest import (
    MANIFEST,
    MERGED,
    decode_manifest,
    place_of_merged,
    place_of_raw,
)
from trivet.adapters.files.points.sources import index_dead
from trivet.adapters.files.segments import Segment
from trivet.core import disk
from trivet.core.errors import Corrupt, Unavailable
from trivet.core.ports import Points, SeriesKey

_STAGE: Final = "upgrading"
_HEAD: Final = Struct("<II")  # number of chunks, bytes of keys
_ENTRY: Final = Struct("<HHIIqq")  # bytes of owner and name, points, crc, least and greatest step


class _Manifest(msgspec.Struct, frozen=True):
    merged: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def upgrade_series(folder: Path) -> None:
    """Convert the series of a workspace of format 1 in place.

    Interrupted at any moment, it can be begun again. Nobody else may use the folder meanwhile.

    Args:
        folder: The folder of the series; may be missing.

    Raises:
        Corrupt: A segment is damaged; it and all that follow are as they were.
        Unavailable: A process of the older Trivet still writes, or the disk refuses.
    """
    if not folder.exists():
        return
    with disk.translated("converting series"):
        stage = folder / _STAGE
        shutil.rmtree(stage, ignore_errors=True)
        disk.make_folder(stage)
        manifest = _read_manifest(folder / MANIFEST)
        for name in manifest.replaced:  # a merge was cut off before it removed them
            place_of_raw(folder, name).unlink(missing_ok=True)
        for name in segments.names(folder):
            _convert(place_of_raw(folder, name), stage, place_of_raw(folder, name))
        for name in manifest.merged:
            _convert(place_of_merged(folder, name), stage, place_of_raw(folder, name))
        disk.sync_folder(folder)
        (folder / MANIFEST).unlink(missing_ok=True)
        disk.sync_folder(folder)
        shutil.rmtree(folder / MERGED, ignore_errors=True)
        stage.rmdir()


def _read_manifest(place: Path) -> _Manifest:
    try:
        return decode_manifest(place.read_bytes(), _Manifest)
    except FileNotFoundError:
        return _Manifest()


def _convert(place: Path, stage: Path, target: Path) -> None:
    with segments.named(place), Segment(place) as segment:
        if segment.header.format == layout.FORMAT:
            return  # converted before an interruption
        extent = segment.extent()
        if extent.seal is None and disk.is_locked(segment.fd):
            raise Unavailable(
                "a process of an older Trivet still writes it",
                code="older-running",
                hint="Stop it, then open the workspace again.",
            )
        writer = segments.begin(stage, "series", lambda _: place.stem)
        try:
            for _, _, payload in segment.frames(layout.BODY, extent):
                writer.add([chunks.encode(list(_chunks(payload))).payload])
            writer.sync()
            with Segment(writer.place) as written:
                writer.seal(index_dead(writer, written))
        finally:
            writer.leave()
    writer.place.replace(target)


def _chunks(payload: bytes) -> Iterator[tuple[SeriesKey, Points]]:
    count, key_bytes = _HEAD.unpack_from(payload)
    key_at = _HEAD.size + count * _ENTRY.size
    at = key_at + key_bytes
    for owner, name, points, check, _, _ in _ENTRY.iter_unpack(payload[_HEAD.size : key_at]):
        middle, end = key_at + owner, key_at + owner + name
        content = payload[at : at + points * POINT_BYTES]
        if crc32(content) != check:
            raise Corrupt("a chunk of points is damaged", code="corrupt-segment")
        key = SeriesKey(payload[key_at:middle].decode(), payload[middle:end].decode())
        yield key, _points(content, points * 8)
        key_at, at = end, at + len(content)


def _points(content: bytes, column: int) -> Points:
    return Points(
        array("q", content[:column]),
        array("q", content[column : 2 * column]),
        array("d", content[2 * column :]),
    )
