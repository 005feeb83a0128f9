"""Merging series segments: many, in order of time, become few, in order of series.

A merge takes the sealed segments of the processes, and the merged segments that are no larger
than what it has taken so far, smallest first. So a point is written again only into a segment
at least twice as large as the one it comes from: with n bytes in the store and m in a usual
merge, at most 1 + log2(n / m) times. As many merged segments are there at most.

Series are copied one after the other, and the points of a long one in windows: a merge needs
memory for a window, and the disk room for its output.
"""

import heapq
import itertools
from array import array
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from trivet.adapters.files import layout, segments
from trivet.adapters.files.points import columns
from trivet.adapters.files.points.columns import NONE, Columns
from trivet.adapters.files.points.figures import Chunk, Figures, rank_of_bits
from trivet.adapters.files.points.manifest import (
    MERGED,
    Manifest,
    Manifests,
    Merged,
    Replaced,
    place_of_merged,
    place_of_raw,
    write_manifest,
)
from trivet.adapters.files.points.measuring import measure
from trivet.adapters.files.points.sources import Source
from trivet.adapters.files.points.tree import CHUNK_POINTS, Key, SortedWriter, Tree
from trivet.core import disk

_AT_ONCE: Final = 128
"""How many segments one merge takes: each is an open file."""
_WINDOW_POINTS: Final = 1 << 16
_FEW_POINTS: Final = 128


class Input(NamedTuple):
    """A segment that is to be merged."""

    source: Source
    tree: Tree
    is_merged: bool
    size_bytes: int


def merge(folder: Path, keep_s: float) -> None:
    """Merge the sealed segments of a folder. The caller holds the merge lock.

    Args:
        folder: The folder of the series.
        keep_s: How long a replaced segment stays for those who follow the feed.
    """
    manifests = Manifests(folder)
    _remove_old(folder, manifests.read(), keep_s)
    while inputs := _choose(folder, manifests.read()):
        _merge(folder, manifests.read(), inputs)
        _remove_old(folder, manifests.read(), keep_s)


def leave_out(folder: Path, keep_s: float, owners: Collection[bytes]) -> None:
    """Write sealed segments that hold series of some owners again without them.

    The caller holds the merge lock.
    """
    manifests = Manifests(folder)
    while inputs := _holding(folder, manifests.read(), owners):
        _merge(folder, manifests.read(), inputs, owners)
        _remove_old(folder, manifests.read(), keep_s)


def _holding(folder: Path, manifest: Manifest, owners: Collection[bytes]) -> list[Input]:
    """Return one sealed segment that holds a series of one of the owners, as inputs."""
    replaced = {old.name for old in manifest.replaced}
    names = [name for name in segments.names(folder) if name not in replaced]
    merged = ((place_of_merged(folder, one.name), True) for one in manifest.merged)
    raw = ((place_of_raw(folder, name), False) for name in names)
    for place, is_merged in (*merged, *raw):
        found = _sealed(place, is_merged=is_merged)
        if found and any(found.tree.totals(owner) for owner in owners):
            return [found]
    return []


def _choose(folder: Path, manifest: Manifest) -> list[Input]:
    """Choose what to merge next; nothing when that is not worth it."""
    replaced = {old.name for old in manifest.replaced}
    names = [name for name in segments.names(folder) if name not in replaced]
    raw: list[Input] = []
    for name in names:
        if len(raw) < _AT_ONCE and (found := _sealed(place_of_raw(folder, name), is_merged=False)):
            raw.append(found)
    if not raw:
        return []
    merged = [_sealed(place_of_merged(folder, one.name), is_merged=True) for one in manifest.merged]
    weight = sum(one.size_bytes for one in raw)
    chosen = raw
    for one in sorted((one for one in merged if one), key=lambda one: one.size_bytes):
        if one.size_bytes > weight:
            break
        chosen.append(one)
        weight += one.size_bytes
    return chosen


def _sealed(place: Path, *, is_merged: bool) -> Input | None:
    source = Source(place)
    tree = source.settle()
    return Input(source, tree, is_merged, source.segment.size_bytes) if tree else None


def _merge(
    folder: Path, manifest: Manifest, inputs: list[Input], without: Collection[bytes] = ()
) -> None:
    generation = manifest.generation + 1
    name = _write(folder / MERGED, inputs, without)
    gone = {one.source.name for one in inputs if one.is_merged}
    now = layout.now_ms()
    replaced = [Replaced(one.source.name, generation, now) for one in inputs if not one.is_merged]
    # A name is kept for as long as its file may be there: it must never count again.
    there = set(segments.names(folder))
    write_manifest(
        folder,
        Manifest(
            generation,
            manifest.removed,
            (*(old for old in manifest.merged if old.name not in gone), Merged(name, generation)),
            (*(old for old in manifest.replaced if old.name in there), *replaced),
        ),
    )


def _write(folder: Path, inputs: Sequence[Input], without: Collection[bytes]) -> str:
    """Write the points of some segments into a new one and return its name.

    Args:
        folder: Where.
        inputs: The segments.
        without: Owners whose series are left out.
    """
    disk.make_folder(folder)
    writer = segments.begin(folder, "series", segments.unique)
    try:
        out = SortedWriter(writer)
        for key, held in _by_key(inputs):
            if key[0] not in without:
                out.add(key, _series(inputs, held))
        writer.seal(out.finish())
    except BaseException:
        writer.leave()
        disk.remove_staged(writer.place)  # a full disk needs the room at once
        raise
    return writer.name


def _by_key(inputs: Sequence[Input]) -> Iterator[tuple[Key, list[tuple[int, Chunk]]]]:
    """Yield each series with the inputs that hold it and its rows there."""
    walks = [_numbered(number, one.tree) for number, one in enumerate(inputs)]
    for key, group in itertools.groupby(heapq.merge(*walks), key=lambda found: found[0]):
        yield key, [(number, row) for _, number, row in group]


def _numbered(number: int, tree: Tree) -> Iterator[tuple[Key, int, Chunk]]:
    for key, row in tree.walk():
        yield key, number, row


def _series(
    inputs: Sequence[Input], held: list[tuple[int, Chunk]]
) -> Iterator[tuple[bytes, Figures]]:
    """Yield the chunks of one series, ordered, from all inputs."""
    number, row = held[0]
    if len(held) == 1 and inputs[number].is_merged:
        if not row.parts:
            yield _content(inputs[number], row), row[3:]
            return
        rows = columns.rows_of(inputs[number].tree.rows(row))  # in order already
        for content, figures in zip(_contents(inputs[number], rows), rows.tolist(), strict=True):
            yield content, figures[3:]
        return
    if sum(row.points for _, row in held) <= _FEW_POINTS:
        yield _few(inputs, held)
        return
    kept: list[Columns] = []
    count = 0
    for ordered in _ordered(inputs, held):
        kept.append(ordered)
        count += len(ordered.steps)
        if count >= CHUNK_POINTS:
            whole = columns.concatenated(kept)
            full = count - count % CHUNK_POINTS
            yield from _cut(whole.part(slice(full)))
            kept, count = [whole.part(slice(full, None))], count - full
    if count:
        yield from _cut(columns.concatenated(kept))


def _few(inputs: Sequence[Input], held: list[tuple[int, Chunk]]) -> tuple[bytes, Figures]:
    """Join a short series: most are, and each array would cost more than its points."""
    points: set[tuple[int, int, int]] = set()
    for number, row in held:
        one = inputs[number]
        for chunk in one.tree.chunks(row):
            content = _content(one, chunk)
            column, count = array("q", content), chunk.points
            points.update(zip(column, column[count:], column[2 * count :], strict=False))
    kept = sorted(points, key=lambda point: (point[0], point[1], rank_of_bits(point[2])))
    content = b"".join(array("q", column).tobytes() for column in zip(*kept, strict=True))
    return content, measure(content)


def _cut(whole: Columns) -> Iterator[tuple[bytes, Figures]]:
    for start in range(0, len(whole.steps), CHUNK_POINTS):
        part = whole.part(slice(start, start + CHUNK_POINTS))
        yield part.content(), columns.figures_of(part)


def _ordered(inputs: Sequence[Input], held: list[tuple[int, Chunk]]) -> Iterator[Columns]:
    """Yield the points of a series in order, a window at a time.

    Chunks are read in the order of their first points; what lies before the first point of all
    that are not read yet is complete.
    """
    packed = [columns.rows_of(inputs[number].tree.rows(row)) for number, row in held]
    rows = np.concatenate(packed)
    numbers = np.repeat([number for number, _ in held], [len(one) for one in packed])
    order = np.lexsort((rows["first_time"], rows["first_step"]))
    rows, numbers = rows[order], numbers[order]
    ends = np.searchsorted(
        np.cumsum(rows["points"]), np.arange(0, int(rows["points"].sum()), _WINDOW_POINTS)
    )
    bounds = [*dict.fromkeys(ends.tolist()), len(rows)]
    waiting = NONE
    for start, stop in itertools.pairwise(bounds):
        waiting = columns.join([waiting, *_read(inputs, rows[start:stop], numbers[start:stop])])
        ready = len(waiting.steps)
        if stop < len(rows):
            ready = _ready(waiting, rows[stop])
        yield waiting.part(slice(ready))
        waiting = waiting.part(slice(ready, None))


def _ready(waiting: Columns, ahead: Any) -> int:
    """Return how many ordered points stand before the first point of a chunk, and its equals."""
    step, time = int(ahead["first_step"]), int(ahead["first_time"])
    low = columns.place_of(waiting.steps, step, "left")
    high = columns.place_of(waiting.steps, step, "right")
    return low + columns.place_of(waiting.times[low:high], time, "left")


def _read(
    inputs: Sequence[Input], rows: npt.NDArray[Any], numbers: npt.NDArray[Any]
) -> Iterator[Columns]:
    for number in cast("list[int]", np.unique(numbers).tolist()):
        own = rows[numbers == number]
        own = own[np.argsort(own["place"])]
        for content in _contents(inputs[number], own):
            yield columns.columns_of(content)


def _content(one: Input, chunk: Chunk) -> bytes:
    with segments.named(one.source.place):
        return columns.content_of(one.source.segment.fd, chunk)


def _contents(one: Input, rows: npt.NDArray[Any]) -> Iterator[bytes]:
    with segments.named(one.source.place):
        yield from columns.contents(one.source.segment.fd, rows)


def _remove_old(folder: Path, manifest: Manifest, keep_s: float) -> None:
    """Remove the segments that were replaced long ago, and those of a merge that failed."""
    oldest = layout.now_ms() - keep_s * 1000
    # Generations go as a whole and in order, also when a clock was set back between them.
    removed = max(
        (one.generation for one in manifest.replaced if one.at_ms <= oldest),
        default=manifest.removed,
    )
    if removed > manifest.removed:
        manifest = msgspec.structs.replace(manifest, removed=removed)
        write_manifest(folder, manifest)
    named = {one.name for one in manifest.merged}
    gone = [
        place_of_merged(folder, name)
        for name in segments.names(folder / MERGED)
        if name not in named
    ]
    gone += [place_of_raw(folder, name) for name in _removed(manifest)]
    gone = [place for place in gone if place.exists()]
    if not gone:
        return
    with disk.translated("removing merged segments"):
        # The manifest that replaces them may be the last thing a dead process did, not yet durable.
        disk.sync_folder(folder)
        for place in gone:
            place.unlink(missing_ok=True)
        disk.sync_folder(folder)


def _removed(manifest: Manifest) -> list[str]:
    return [one.name for one in manifest.replaced if one.generation <= manifest.removed]
