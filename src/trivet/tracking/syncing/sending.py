"""The sender's side: brings a server what it does not have, and remembers how far it came.

How far is written after the server has confirmed. Whoever is killed before sends a little again,
which the server knows. What the server refuses is kept and offered again: a run may be on its way
from another machine, or be restored.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.courier import Courier
from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.points import Points, SeriesKey
from trivet.core.ports import Stores
from trivet.tracking.reporting.documents import RUNS
from trivet.tracking.reporting.liveness import Liveness
from trivet.tracking.syncing.asking import Watched, ask, cut, give_signs
from trivet.tracking.syncing.gathering import Gathered, Gatherer
from trivet.tracking.syncing.wire import (
    MOST_DIGESTS,
    MOST_ENTRIES,
    Delivery,
    Missing,
    Outcome,
    Question,
    Receipt,
    Series,
    series_of,
)

_CURSORS: Final = "sync"
_CURSOR: Final = "cursor"
_SMALL_BYTES: Final = 128 << 10
"""Files up to this size travel together."""
_POINTS: Final = 24_000
"""So many points travel in one delivery: 24 bytes each, and a third more in base64."""
_CHANGES: Final = 10_000


class Refusal(msgspec.Struct, frozen=True):
    """Something that the server did not take."""

    run: str
    code: str
    message: str


class Tally(msgspec.Struct, kw_only=True):
    """What was sent of one run, or is to be sent."""

    entries: int = 0
    """Beginnings, reports, files, ends."""
    points: int = 0
    files: int = 0
    """Contents of files that the server lacked."""
    size_bytes: int = 0
    """Bytes of these files."""
    waiting: str = ""
    """Why the server did not take something; it is offered again."""


class _Cursor(msgspec.Struct, kw_only=True):
    """How far a server has been told."""

    seq: int = 0
    position: str | None = None
    refused: dict[str, Refusal] = {}
    """By the place in the ledger."""
    held: dict[str, Refusal] = {}
    """Runs whose points are to be sent whole, once the server takes them."""


class Sender:
    """Brings one server the runs of one project's stores.

    Args:
        stores: Where they were recorded.
        scope: The project.
        courier: Goes to the server.
        server: Names the server, so that each has a cursor of its own.
        progress: Told of what was sent, after each delivery.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        courier: Courier,
        *,
        server: str,
        progress: Callable[[Mapping[str, Tally]], None] | None = None,
    ) -> None:
        self._stores = stores
        self._project = scope.project
        self._courier = courier
        self._server = server
        self._progress = progress or _say_nothing
        self._gatherer = Gatherer(stores, scope)
        self._liveness = Liveness(stores, scope)
        self._cursor = self._read()
        self._tallies: dict[str, Tally] = {}
        self._sent: dict[SeriesKey, tuple[int, int, bytes]] = {}

    @property
    def waits(self) -> bool:
        """Whether the server refused something that is to be offered again."""
        return bool(self._cursor.refused or self._cursor.held)

    def has_news(self) -> bool:
        """Say whether there is something that was never sent. It asks nobody."""
        return bool(
            self._stores.ledger.since(self._cursor.seq, 1)
            or self._stores.series.since(self._cursor.position, 1).series
        )

    def pending(self) -> dict[str, Tally]:
        """Count what is to be sent, by run, with what the server refused before.

        It asks nobody, so points and files may be fewer: what the server has is not sent again.
        """
        found: dict[str, Tally] = {}
        files: dict[str, str] = {}
        for each in self._unsent():
            found.setdefault(each.entry.run, Tally()).entries += 1
            with suppress(NotFound, Corrupt):
                files |= dict.fromkeys(self._gatherer.digests(each.entry), each.entry.run)
        for digest, run in files.items():
            with suppress(NotFound, Corrupt), self._stores.blobs.open(digest) as stream:
                found[run].size_bytes += stream.seek(0, 2)
                found[run].files += 1
        for key, first, last in self._changes(self._cursor.position):
            if key.owner not in self._cursor.held:
                points = self._stores.series.read(key, first=first, last=last)
                found.setdefault(key.owner, Tally()).points += len(points.steps)
        for run in self._cursor.held:
            counts = (each.count for each in self._stores.series.summaries(run).values())
            found.setdefault(run, Tally()).points += sum(counts)
        for refusal in (*self._cursor.refused.values(), *self._cursor.held.values()):
            found.setdefault(refusal.run, Tally()).waiting = f"{refusal.code}: {refusal.message}"
        return found

    def send(self, *, again: bool = True) -> dict[str, Tally]:
        """Send everything there is; return what was sent, by run.

        Args:
            again: Whether what was refused is offered again.

        Raises:
            Unavailable: The server does not answer; what it confirmed is not sent again.
            Forbidden: It does not know the token, or the token may not do this.
        """
        self._tallies = {}
        if again and self._cursor.refused:
            self._offer_again()
        for seq, page in self._gatherer.after(self._cursor.seq):
            self._send_entries(page)
            self._cursor.seq = seq
            self._write()
        try:
            if again and self._cursor.held:
                self._send_held()
            self._send_points()
        except BaseException:
            self._sent.clear()  # what was about to be sent may not have come
            raise
        for refusal in (*self._cursor.refused.values(), *self._cursor.held.values()):
            self._tally(refusal.run).waiting = f"{refusal.code}: {refusal.message}"
        return self._tallies

    def give_up(self, runs: Collection[str]) -> dict[str, str]:
        """Offer no more what the server refused of some runs; return why it did, by run.

        Of a spool that is removed when nothing waits in it, it is lost then.
        """
        refused, held = self._cursor.refused, self._cursor.held
        said = [each for each in (*refused.values(), *held.values()) if each.run in runs]
        if said:
            self._cursor.refused = {
                at: each for at, each in refused.items() if each.run not in runs
            }
            self._cursor.held = {run: each for run, each in held.items() if run not in runs}
            self._write()
        return {each.run: f"{each.code}: {each.message}" for each in said}

    def give_signs(self) -> None:
        """Tell the server when the runs that go on gave their last sign of life."""
        give_signs(self._courier, self._liveness)

    def _unsent(self) -> Iterator[Gathered]:
        """Yield the entries that were refused, and those that were never sent."""
        refused = map(self._gatherer.at, sorted(map(int, self._cursor.refused)))
        yield from (each for each in refused if each is not None)
        for _, page in self._gatherer.after(self._cursor.seq):
            yield from page

    # ------------------------------------------------------------------ entries

    def _send_entries(self, page: Sequence[Gathered]) -> None:
        for some in cut(page, MOST_ENTRIES, lambda each: each.size_bytes):
            self._bring_files(some)
            for each, outcome in zip(some, self._entries_taken(some), strict=True):
                self._settle(each, outcome)
            self._progress(self._tallies)

    def _entries_taken(self, ready: Sequence[Gathered]) -> Sequence[Outcome]:
        try:
            delivery = Delivery(entries=tuple(each.entry for each in ready))
            return self._deliver(delivery).entries
        except Invalid as error:  # the delivery as such: the one that spoils it is found alone
            if len(ready) > 1:
                return [self._entries_taken([each])[0] for each in ready]
            return [Outcome(state="refused", code=error.code, message=error.message)]

    def _settle(self, each: Gathered, outcome: Outcome) -> None:
        if outcome.state == "refused":
            run = each.entry.run
            self._cursor.refused[str(each.seq)] = Refusal(run, outcome.code, outcome.message)
            return
        self._cursor.refused.pop(str(each.seq), None)
        self._tally(each.entry.run).entries += outcome.state == "new"

    def _offer_again(self) -> None:
        places = sorted(map(int, self._cursor.refused))
        found = {place: self._gatherer.at(place) for place in places}
        for place, each in found.items():
            if each is None:
                del self._cursor.refused[str(place)]
        self._send_entries([each for each in found.values() if each is not None])
        self._write()

    # -------------------------------------------------------------------- files

    def _bring_files(self, some: Sequence[Gathered]) -> None:
        """Send the files that entries need and the server lacks.

        What cannot be read here is left out: the server refuses the entry that needs it.
        """
        run_of: dict[str, str] = {}
        for each in some:
            with suppress(NotFound, Corrupt):
                run_of |= dict.fromkeys(self._gatherer.digests(each.entry), each.entry.run)
        small = self._sent_but_small((digest, run_of[digest]) for digest in self._lacking(run_of))
        for contents in cut(small, MOST_ENTRIES, len):
            self._deliver(Delivery(files=tuple(contents)))

    def _lacking(self, digests: Iterable[str]) -> list[str]:
        lacking: list[str] = []
        for some in cut(digests, MOST_DIGESTS):
            question = Question(digests=tuple(some))
            lacking += ask(self._courier, "POST", "/sync/missing", Missing, question).digests
        return lacking

    def _sent_but_small(self, files: Iterable[tuple[str, str]]) -> Iterator[bytes]:
        """Send large files, each with its run, and yield the contents of small ones."""
        for digest, run in files:
            try:
                stream = self._stores.blobs.open(digest)
            except (NotFound, Corrupt):
                continue
            with stream:
                size = stream.seek(0, 2)
                stream.seek(0)
                if size > _SMALL_BYTES:
                    watched = Watched(stream, lambda: self._progress(self._tallies))
                    self._courier.ask("PUT", f"/sync/files/{digest}", watched)
                else:
                    yield stream.read()
            tally = self._tally(run)
            tally.files += 1
            tally.size_bytes += size
            self._progress(self._tallies)

    # ------------------------------------------------------------------- points

    def _send_points(self) -> None:
        while True:
            changes = self._stores.series.since(self._cursor.position, _CHANGES)
            if changes.position == self._cursor.position:
                return
            ours = self._ours({key.owner for key in changes.series})
            self._send_series(
                series
                for key, summary in changes.series.items()
                if key.owner in ours and key.owner not in self._cursor.held
                for series in self._fresh(key, summary.first_step, summary.last_step)
            )
            self._cursor.position = changes.position
            self._write()
            if not changes.has_more:
                return

    def _send_held(self) -> None:
        for run in [*self._cursor.held]:
            # With no points at first: they are many, and it may be as it was.
            asked = [Series(run=run, name="-", steps=b"", times=b"", values=b"")]
            if self._points_taken(asked):
                continue
            keys = [SeriesKey(run, name) for name in self._stores.series.summaries(run)]
            refusal = self._cursor.held.pop(run)
            try:
                self._send_series(
                    series for key in keys for series in _pieces(key, self._stores.series.read(key))
                )
            except BaseException:
                self._cursor.held[run] = refusal
                raise
            self._write()

    def _send_series(self, series: Iterable[Series]) -> None:
        for some in cut(series, _POINTS, lambda each: len(each.steps) // 8, most=_POINTS):
            for run, outcome in self._points_taken(some).items():
                self._cursor.held[run] = Refusal(run, outcome.code, outcome.message)
            for each in some:
                if each.run not in self._cursor.held:
                    self._tally(each.run).points += len(each.steps) // 8
            self._progress(self._tallies)

    def _points_taken(self, some: Sequence[Series]) -> Mapping[str, Outcome]:
        try:
            return self._deliver(Delivery(points=tuple(some))).refused
        except Invalid as error:
            if len(some) == 1:
                return {some[0].run: Outcome(state="refused", code=error.code)}
            found: dict[str, Outcome] = {}
            for each in some:
                found |= self._points_taken([each])
            return found

    def _fresh(self, key: SeriesKey, first: int, last: int) -> Iterator[Series]:
        """Yield the points of some steps, without those that were sent before as they stand.

        The feed says which steps have new points. A program that logs all of its points at one
        step has the old ones among them, in front.
        """
        points = self._stores.series.read(key, first=first, last=last)
        count = len(points.steps)
        known_first, known, digest = self._sent.get(key, (0, 0, b""))
        skipped = known if known_first == first and _digest(points, known) == digest else 0
        self._sent[key] = (first, count, _digest(points, count))
        yield from _pieces(key, points, skipped)

    def _changes(self, position: str | None) -> Iterator[tuple[SeriesKey, int, int]]:
        while True:
            changes = self._stores.series.since(position, _CHANGES)
            ours = self._ours({key.owner for key in changes.series})
            for key, summary in changes.series.items():
                if key.owner in ours:
                    yield key, summary.first_step, summary.last_step
            position = changes.position
            if not changes.has_more:
                return

    def _ours(self, owners: Iterable[str]) -> set[str]:
        """Return the runs among owners of series that programs report in this project."""
        found = self._stores.catalog.get(RUNS, sorted(owners))
        groups = ((each.id, each.group.rpartition("/")) for each in found)
        return {id for id, (project, _, number) in groups if self._is_ours(project, number)}

    def _is_ours(self, project: str, number: str) -> bool:
        return project == self._project and number.isdigit()

    # ------------------------------------------------------------------- inside

    def _deliver(self, delivery: Delivery) -> Receipt:
        return ask(self._courier, "POST", "/sync", Receipt, delivery)

    def _tally(self, run: str) -> Tally:
        return self._tallies.setdefault(run, Tally())

    def _read(self) -> _Cursor:
        found = self._stores.catalog.get(_CURSORS, [self._server])
        return msgspec.convert(found[0].notes[_CURSOR], _Cursor) if found else _Cursor()

    def _write(self) -> None:
        note: dict[str, Any] = {_CURSOR: msgspec.to_builtins(self._cursor)}
        amendment = Amendment(collection=_CURSORS, id=self._server, group=self._project, note=note)
        self._stores.catalog.write([amendment], synced=False)


def _say_nothing(_: Mapping[str, Tally]) -> None:
    return


def _pieces(key: SeriesKey, points: Points, first: int = 0) -> Iterator[Series]:
    for start in range(first, len(points.steps), _POINTS):
        yield series_of(key.owner, key.name, points, start, start + _POINTS)


def _digest(points: Points, count: int) -> bytes:
    state = blake2b(digest_size=16)
    for column in (points.steps, points.times, points.values):
        state.update(bytes(column[:count]))
    return state.digest()
