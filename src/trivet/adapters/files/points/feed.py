"""The feed of a store of series: what any process appended behind a position.

A position says how many merges are accounted for and, of each segment that no merge up to there
has taken, how far it was read. Merged-away segments stay for a while, so a follower that asks
now and then reads every append from the segment it was written to. One that stayed away for
longer is told all series of the segments that merges have written meanwhile, and misses nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from trivet.adapters.files import layout
from trivet.adapters.files.points.chunks import Piece
from trivet.adapters.files.points.figures import Chunk, fold, summary
from trivet.adapters.files.points.manifest import Manifest
from trivet.adapters.files.points.sources import Source
from trivet.adapters.files.points.tree import Key
from trivet.core.errors import Invalid
from trivet.core.ports import Changes, SeriesKey


class Position(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How far a follower has come."""

    merges: int = 0
    """All that merges up to this one have taken is accounted for."""
    read: dict[str, int] = {}
    """Up to which byte each other segment was read."""
    told: tuple[int, str, str] | None = None
    """While merged segments are told: the merge that wrote one, and the last series told of it."""


_DECODER: Final = msgspec.json.Decoder(Position)


def position_of(text: str | None) -> Position:
    """Read a position.

    Raises:
        Invalid: It is none.
    """
    if text is None:
        return Position()
    try:
        position = _DECODER.decode(text)
    except (msgspec.DecodeError, TypeError, UnicodeEncodeError):
        position = None
    if position is None or any(at < layout.BODY for at in position.read.values()):
        raise Invalid(
            f"position is a {type(text).__name__} that is no position of this feed",
            code="bad-position",
            hint="Pass a position as `since` returned it.",
        )
    return position


class Snapshot(NamedTuple):
    """The segments of a store at one moment, opened when they are needed."""

    manifest: Manifest
    raw: Sequence[str]
    """Those that processes append or have appended to, also replaced ones that are still there."""
    merged_source: Callable[[str], Source]
    raw_source: Callable[[str], Source]


def changes(snapshot: Snapshot, position: Position, limit: int) -> Changes:
    """Return what came behind a position.

    Raises:
        FileNotFoundError: A segment was removed meanwhile.
        Corrupt: A segment is damaged.
    """
    told = _Told(limit)
    if position.merges < snapshot.manifest.removed and not _tell_merged(snapshot, position, told):
        return told.changes(position, has_more=True)
    return told.changes(position, has_more=not _tell_appends(snapshot, position, told))


class _Told:
    """What one answer says."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._series: dict[Key, Chunk] = {}

    @property
    def is_full(self) -> bool:
        return self._left <= 0

    def add(self, key: Key, chunk: Chunk) -> None:
        before = self._series.get(key)
        self._series[key] = fold(before, chunk) if before else chunk
        self._left -= 1

    def changes(self, position: Position, *, has_more: bool) -> Changes:
        return Changes(
            series={
                SeriesKey(owner.decode(), name.decode()): summary(chunk)
                for (owner, name), chunk in self._series.items()
            },
            position=msgspec.json.encode(position).decode(),
            has_more=has_more,
        )


def _tell_merged(snapshot: Snapshot, position: Position, told: _Told) -> bool:
    """Tell the series of merged segments that the position does not know; say whether all.

    A segment that was merged again meanwhile is told as part of the new one, which comes later.
    """
    done = position.told or (position.merges + 1, "", "")
    for merged in sorted(snapshot.manifest.merged, key=lambda one: one.generation):
        generation = merged.generation
        if generation < done[0]:
            continue
        source = snapshot.merged_source(merged.name)
        start = (done[1].encode(), done[2].encode()) if generation == done[0] else (b"", b"")
        for key, chunk in source.series(start):
            if key == start:
                continue
            if told.is_full:
                return False
            told.add(key, chunk)
            position.told = generation, key[0].decode(), key[1].decode()
    position.told = None
    position.merges = snapshot.manifest.generation
    return True


def _tell_appends(snapshot: Snapshot, position: Position, told: _Told) -> bool:
    """Tell what was appended; say whether all. Segments of merges come first."""
    manifest = snapshot.manifest
    replaced = {one.name: one.generation for one in manifest.replaced}
    taken = [name for name in snapshot.raw if replaced.get(name, 0) > position.merges]
    others = [name for name in snapshot.raw if name not in replaced]
    if not all(_tell(snapshot.raw_source(name), position, told) for name in taken):
        return False
    position.merges = manifest.generation
    position.read = {name: at for name, at in position.read.items() if name in others}
    return all(_tell(snapshot.raw_source(name), position, told) for name in others)


def _tell(source: Source, position: Position, told: _Told) -> bool:
    """Tell what was appended to one segment; say whether all."""
    for end, measured, pieces in source.appended(position.read.get(source.name, layout.BODY)):
        if told.is_full:
            return False
        for piece, chunk in zip(pieces, measured, strict=True):
            told.add(_key(piece), chunk)
        position.read[source.name] = end
    return True


def _key(piece: Piece) -> Key:
    return piece.owner, piece.name
