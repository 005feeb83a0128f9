"""Ledger, journal, views and catalog in plain Python, sharing one state.

Every unit test stands on them. They keep the promises of `trivet.core.ports` except durability.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import (
    Batch,
    Draft,
    Entry,
    Forgotten,
    Head,
    HeadMove,
    HeadMoved,
    Link,
    Receipt,
    chain_hash,
    draft,
    new_salt,
    payload_digest,
)
from trivet.core.ids import check_id
from trivet.core.ports import Damage, Page
from trivet.core.rules import RESERVED_KINDS, check_batch, check_search
from trivet.testing.memory_catalog import MemoryCatalog, amend
from trivet.testing.memory_journal import MemoryJournal, apply_task
from trivet.testing.memory_state import MemoryState
from trivet.testing.memory_views import MemoryViews, check_free, check_standing, put_row


class MemoryLedger:
    """A `Ledger` in a list."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def commit(self, batch: Batch, *, synced: bool = True) -> Receipt:
        del synced  # memory knows no disk
        check_batch(batch)
        with self._state.transaction():
            return _Commit(self._state, batch).run()

    def get(self, id: str) -> Entry | None:
        with self._state.lock:
            return self._state.entry(check_id(id))

    def find(
        self,
        kind: str | None = None,
        *,
        where: Mapping[str, str] | None = None,
        parent: str | None = None,
        project: str | None = None,
        after: int | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        check_search(kind, where, limit)
        if parent is not None:
            check_id(parent, "parent")
        wanted = dict(where or {})

        def matches(entry: Entry) -> bool:
            index = self._state.index.get(entry.id, {})
            return (
                (kind is None or entry.kind == kind)
                and (project is None or entry.project == project)
                and (parent is None or parent in entry.parents)
                and all(index.get(name) == value for name, value in wanted.items())
            )

        with self._state.lock:
            entries = list(self._state.entries)
            if after is not None:
                entries = entries[: max(after - 1, 0)] if newest_first else entries[max(after, 0) :]
            ordered = reversed(entries) if newest_first else entries
            found: list[Entry] = []
            for entry in ordered:
                if matches(entry):
                    found.append(entry)
                if len(found) > limit:
                    break
        page = tuple(found[:limit])
        return Page(entries=page, after=page[-1].seq if len(found) > limit else None)

    def head(self, project: str, name: str) -> Head | None:
        with self._state.lock:
            return self._state.heads.get((project, name))

    def heads(self, project: str, prefix: str = "") -> tuple[Head, ...]:
        with self._state.lock:
            found = [
                head
                for (owner, name), head in self._state.heads.items()
                if owner == project and name.startswith(prefix)
            ]
        return tuple(sorted(found, key=lambda head: head.name))

    def since(self, seq: int, limit: int = 1000) -> tuple[Entry, ...]:
        with self._state.lock:
            start = max(seq, 0)
            return tuple(self._state.entries[start : start + limit])

    def verify(self) -> Iterator[Damage | Link]:
        with self._state.lock:
            links, entries = list(self._state.links), list(self._state.entries)
            salts = dict(self._state.salts)
        previous = ""
        for link in links:
            members = entries[link.first_seq - 1 : link.last_seq]
            for entry in members:
                payload = entry.payload
                if payload is not None and payload_digest(salts[entry.id], payload) != entry.digest:
                    yield Damage(store="ledger", name=entry.id, problem="the payload was changed")
            if chain_hash(previous, members) == link.hash:
                yield link
            else:
                yield Damage(store="ledger", name=f"link {link.number}", problem="the chain breaks")
            previous = link.hash


class _Commit:
    """One batch on its way into the state."""

    def __init__(self, state: MemoryState, batch: Batch) -> None:
        self._state = state
        self._batch = batch
        self._now = state.clock.now()
        self._first_seq = len(state.entries) + 1

    def run(self) -> Receipt:
        state, batch = self._state, self._batch
        digest = _batch_digest(batch)
        known = [seq for item in batch.facts if (seq := self._known(item)) is not None]
        if len(known) == len(batch.facts) > 0:
            place = state.link_of(known)
            if state.batches[place] == digest:
                return self._receipt(state.links[place])
        for item in batch.facts:
            self._add(item)
        for move in batch.heads:
            self._move_head(move)
        for identifier in batch.forget:
            self._forget(identifier)
        self._project()
        return self._close(known, digest)

    def _project(self) -> None:
        """Take in what the batch says beside its facts."""
        state, batch = self._state, self._batch
        for task in batch.tasks:
            apply_task(state, task, self._now)
        for event in batch.inbox:
            if (event.source, event.key) in state.inbox:
                raise Conflict(
                    f"the event {event.key!r} of {event.source!r} has arrived before", code="seen"
                )
            state.set(state.inbox, (event.source, event.key), value=True)
        check_free(state, batch.free)
        for put in batch.rows:
            check_standing(state, put)
        for put in batch.rows:
            put_row(state, put.view, put.row)
        for amendment in batch.documents:
            amend(state, amendment)

    def _known(self, item: Draft) -> int | None:
        entry = self._state.entry(item.id)
        if entry is None:
            return None
        salt = self._state.salts.get(item.id)
        same = (entry.kind, entry.project, entry.parents) == (
            item.kind,
            self._batch.project,
            item.parents,
        ) and (salt is None or payload_digest(salt, item.payload) == entry.digest)
        if not same:
            raise Conflict(
                f"the fact {item.id} exists with another content",
                code="other-fact",
                hint="Draft a new fact; facts never change.",
            )
        return entry.seq

    def _add(self, item: Draft) -> None:
        state = self._state
        if self._known(item) is not None:
            return
        for parent in item.parents:
            if parent not in state.by_id:
                raise NotFound(
                    f"the fact {item.id} names the parent {parent}, which does not exist",
                    code="no-parent",
                    hint="Commit parents first, or earlier in the same batch.",
                )
        salt = new_salt()
        entry = Entry(
            id=item.id,
            kind=item.kind,
            project=self._batch.project,
            actor=self._batch.actor,
            reason=self._batch.reason,
            time=self._now,
            seq=len(state.entries) + 1,
            parents=item.parents,
            digest=payload_digest(salt, item.payload),
            payload=item.payload,
        )
        state.append(state.entries, entry)
        state.set(state.by_id, item.id, entry.seq)
        state.set(state.salts, item.id, salt)
        state.set(state.index, item.id, dict(item.index))

    def _move_head(self, move: HeadMove) -> None:
        state = self._state
        place = (self._batch.project, move.name)
        standing = state.heads.get(place)
        before = standing.target if standing else None
        if move.expect is not UNSET and move.expect != before:
            raise Conflict(
                f"the head {move.name!r} is not where it was expected",
                code="head-moved",
                hint="Read the head again and decide anew.",
                detail={"name": move.name, "expected": move.expect, "found": before},
            )
        if move.to is None and before is None:
            return
        if move.to is not None and move.to not in state.by_id:
            raise NotFound(
                f"the head {move.name!r} shall point at {move.to}, which does not exist",
                code="no-target",
            )
        moved = draft(
            HeadMoved(name=move.name, before=before, after=move.to),
            parents=() if move.to is None else (move.to,),
        )
        self._add(moved)
        if move.to is None:
            state.drop(state.heads, place)
        else:
            head = Head(name=move.name, project=place[0], target=move.to, moved_by=moved.id)
            state.set(state.heads, place, head)

    def _forget(self, identifier: str) -> None:
        state = self._state
        entry = state.entry(identifier)
        if entry is None:
            raise NotFound(f"no fact {identifier} to forget", code="no-fact")
        if entry.kind in RESERVED_KINDS:
            raise Invalid(
                f"a fact of kind {entry.kind!r} cannot be forgotten", code="reserved-kind"
            )
        if entry.payload is None:
            return
        state.replace_entry(replace(entry, payload=None))
        state.drop(state.salts, identifier)
        state.drop(state.index, identifier)
        self._add(draft(Forgotten(subject=identifier, digest=entry.digest), parents=(identifier,)))

    def _close(self, known: list[int], digest: str) -> Receipt:
        state = self._state
        written = state.entries[self._first_seq - 1 :]
        if written:
            previous = state.links[-1].hash if state.links else ""
            link = Link(
                number=len(state.links) + 1,
                hash=chain_hash(previous, written),
                first_seq=self._first_seq,
                last_seq=written[-1].seq,
            )
            state.append(state.links, link)
            state.append(state.batches, digest)
            return self._receipt(link)
        if known:
            return self._receipt(state.links[state.link_of(known)])
        return self._receipt(state.links[-1]) if state.links else Receipt(link=0, chain="", seq=0)

    @staticmethod
    def _receipt(link: Link) -> Receipt:
        return Receipt(link=link.number, chain=link.hash, seq=link.last_seq)


class MemoryDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """The four ports over one state, so that one commit reaches all of them."""

    ledger: MemoryLedger
    journal: MemoryJournal
    views: MemoryViews
    catalog: MemoryCatalog

    def close(self) -> None:
        """Nothing is held open."""


def memory_database() -> MemoryDatabase:
    """Make an empty ledger with its journal, views and catalog."""
    state = MemoryState()
    return MemoryDatabase(
        ledger=MemoryLedger(state),
        journal=MemoryJournal(state),
        views=MemoryViews(state),
        catalog=MemoryCatalog(state),
    )


def _batch_digest(batch: Batch) -> str:
    """Digest all of a batch but its payloads, to recognise the very same batch when it returns."""
    bare = replace(batch, facts=tuple(replace(item, payload=b"") for item in batch.facts))
    try:
        return sha256(msgspec.msgpack.encode(bare)).hexdigest()
    except (TypeError, OverflowError) as error:
        raise Invalid(
            f"a task, event or row holds a value that cannot be stored: {error}", code="bad-batch"
        ) from error
