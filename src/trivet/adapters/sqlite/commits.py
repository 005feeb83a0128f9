"""One batch on its way into the database: prepared by its caller, written by the writer.

`prepare` runs in the caller's thread and touches no store; `apply` runs inside a write
transaction, possibly more than once.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from trivet.adapters.sqlite.catalog_writing import put_documents
from trivet.adapters.sqlite.projections import check_free, put_rows
from trivet.adapters.sqlite.session import Session
from trivet.adapters.sqlite.transitions import apply_task, take_event
from trivet.core.clock import SystemClock, to_micros
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import (
    Batch,
    Draft,
    Entry,
    Forgotten,
    HeadMove,
    HeadMoved,
    Receipt,
    chain_hash,
    draft,
    new_salt,
    payload_digest,
)
from trivet.core.rules import RESERVED_KINDS, check_batch

_ID_BYTES: Final = 16


class Prepared(msgspec.Struct, frozen=True):
    """A batch with all that can be computed before the transaction."""

    batch: Batch
    facts: tuple["PreparedFact", ...]
    digest: bytes


class PreparedFact(msgspec.Struct, frozen=True):
    """A draft in the form in which it is stored."""

    item: Draft
    id: bytes
    parents: bytes
    salt: bytes
    digest: str


def prepare(batch: Batch) -> Prepared:
    """Check a batch and digest its payloads.

    Raises:
        Invalid: An identifier, kind, name or state is malformed.
        Conflict: Two drafts share an identifier and differ (code `other-fact`).
    """
    check_batch(batch)
    facts = tuple(_digested(item) for item in _distinct(batch.facts))
    return Prepared(batch, facts, _batch_digest(batch))


def _distinct(drafts: tuple[Draft, ...]) -> Iterable[Draft]:
    by_id = {item.id: item for item in drafts}
    if len(by_id) < len(drafts):
        for item in drafts:
            if item != by_id[item.id]:
                raise _other_fact(item.id)
    return by_id.values()


def _digested(item: Draft) -> PreparedFact:
    salt = new_salt()
    return PreparedFact(
        item,
        bytes.fromhex(item.id),
        bytes.fromhex("".join(item.parents)),
        salt,
        payload_digest(salt, item.payload),
    )


def _batch_digest(batch: Batch) -> bytes:
    """Digest all of a batch but its payloads, to recognise the very same batch when it returns."""
    identifiers = "".join(item.id for item in batch.facts).encode()
    try:
        rest = msgspec.msgpack.encode(replace(batch, facts=()))
    except (TypeError, OverflowError) as error:
        raise Invalid(
            f"a task, event or row holds a value that cannot be stored: {error}", code="bad-batch"
        ) from error
    return sha256(len(rest).to_bytes(8, "big") + rest + identifiers).digest()


def _other_fact(identifier: str) -> Conflict:
    return Conflict(
        f"the fact {identifier} exists with another content",
        code="other-fact",
        hint="Draft a new fact; facts never change.",
    )


def apply(session: Session, prepared: Prepared) -> Receipt:
    """Write a prepared batch inside the session's transaction.

    Raises:
        Conflict: As `Ledger.commit` says.
        NotFound: As `Ledger.commit` says.
    """
    known = _known_facts(session, prepared)
    newest_link = max(known.values(), default=None)
    if newest_link is not None and len(known) == len(prepared.facts):
        row = session.one("link", (newest_link,))
        if row is not None and row[3] == prepared.digest:
            return Receipt(link=row[0], chain=row[1].hex(), seq=row[2])
    commit = _Commit(session, prepared)
    batch = prepared.batch
    for fact in prepared.facts:
        if fact.id not in known:
            commit.add(fact)
    for move in batch.heads:
        commit.move_head(move)
    for identifier in batch.forget:
        commit.forget(identifier)
    for task in batch.tasks:
        apply_task(session, task, commit.now)
    for event in batch.inbox:
        take_event(session, event, commit.micros)
    check_free(session, batch.free)
    put_rows(session, batch.rows)
    put_documents(session, batch.documents)
    return commit.close(newest_link)


def _known_facts(session: Session, prepared: Prepared) -> dict[bytes, int]:
    """Find the batch's facts that are stored already, and the link of each."""
    if not prepared.facts:
        return {}
    (largest,) = session.one("largest_id") or (None,)
    # Identifiers grow with time: a batch of new ones lies wholly behind the largest stored.
    if largest is None or min(fact.id for fact in prepared.facts) > largest:
        return {}
    known: dict[bytes, int] = {}
    for fact in prepared.facts:
        row = session.one("known_fact", (fact.id,))
        if row is None:
            continue
        kind, project, link, parents, salt, digest, is_forgotten = row
        same = (
            session.words.word(kind) == fact.item.kind
            and session.words.word(project) == prepared.batch.project
            and parents == fact.parents
            and (is_forgotten or payload_digest(salt, fact.item.payload) == digest.hex())
        )
        if not same:
            raise _other_fact(fact.item.id)
        known[fact.id] = link
    return known


class _Commit:
    """The rows of one batch, gathered and written together."""

    def __init__(self, session: Session, prepared: Prepared) -> None:
        now = SystemClock().now()
        number, digest, seq = session.one("last_link") or (0, b"", 0)
        self.micros = to_micros(now)
        self.now = now
        self._session = session
        self._batch = prepared.batch
        self._digest = prepared.digest
        self._link: int = number + 1
        self._previous: str = digest.hex()
        self._first: int = seq + 1
        self._last_seq: int = seq
        self._project = session.words.intern("project", self._batch.project)
        self._seqs: dict[bytes, int] = {}
        self._entries: list[Entry] = []
        self._facts: list[tuple[Any, ...]] = []
        self._edges: list[tuple[int, int]] = []
        self._indexed: list[tuple[int, str, int, int]] = []

    def add(self, fact: PreparedFact) -> None:
        """Take a new fact in, behind its parents."""
        item = fact.item
        words = self._session.words
        self._last_seq = seq = self._last_seq + 1
        kind = words.intern("kind", item.kind)
        for start in range(0, len(fact.parents), _ID_BYTES):
            parent = fact.parents[start : start + _ID_BYTES]
            self._edges.append((self._seq_of(parent, item), seq))
        for name, value in item.index.items():
            field = words.intern("field", f"{item.kind}:{name}")
            self._indexed.append((field, value, self._project, seq))
        self._seqs[fact.id] = seq
        self._facts.append(
            (
                seq,
                fact.id,
                kind,
                self._project,
                self._link,
                bytes.fromhex(fact.digest),
                fact.parents,
                fact.salt,
                item.payload,
            )
        )
        self._entries.append(
            Entry(
                id=item.id,
                kind=item.kind,
                project=self._batch.project,
                actor=self._batch.actor,
                reason=self._batch.reason,
                time=self.now,
                seq=seq,
                parents=item.parents,
                digest=fact.digest,
                payload=item.payload,
            )
        )

    def _seq_of(self, parent: bytes, item: Draft) -> int:
        seq = self._find_seq(parent)
        if seq is None:
            raise NotFound(
                f"the fact {item.id} names the parent {parent.hex()}, which does not exist",
                code="no-parent",
                hint="Commit parents first, or earlier in the same batch.",
            )
        return seq

    def _find_seq(self, identifier: bytes) -> int | None:
        seq = self._seqs.get(identifier)
        if seq is None:
            row = self._session.one("seq_of", (identifier,))
            if row is not None:
                seq = self._seqs[identifier] = int(row[0])
        return seq

    def move_head(self, move: HeadMove) -> None:
        """Move a head, if it stands where it was expected, and record the move."""
        session = self._session
        row = session.one("head", (self._project, move.name))
        before = row[0].hex() if row else None
        if move.expect is not UNSET and move.expect != before:
            raise Conflict(
                f"the head {move.name!r} is not where it was expected",
                code="head-moved",
                hint="Read the head again and decide anew.",
                detail={"name": move.name, "expected": move.expect, "found": before},
            )
        if move.to is None and before is None:
            return
        if move.to is not None and self._find_seq(bytes.fromhex(move.to)) is None:
            raise NotFound(
                f"the head {move.name!r} shall point at {move.to}, which does not exist",
                code="no-target",
                hint="Commit the fact first, or in the same batch.",
            )
        moved = _digested(
            draft(
                HeadMoved(name=move.name, before=before, after=move.to),
                parents=() if move.to is None else (move.to,),
            )
        )
        self.add(moved)
        if move.to is None:
            session.run("drop_head", (self._project, move.name))
        else:
            target = bytes.fromhex(move.to)
            session.run("set_head", (self._project, move.name, target, moved.id))

    def forget(self, identifier: str) -> None:
        """Remove a payload, its salt and its indexed values, and leave a tombstone."""
        session = self._session
        self._flush()
        row = session.one("forgettable", (bytes.fromhex(identifier),))
        if row is None:
            raise NotFound(f"no fact {identifier} to forget", code="no-fact")
        seq, kind_number, project, digest, payload = row
        kind = session.words.word(kind_number)
        if kind in RESERVED_KINDS:
            raise Invalid(f"a fact of kind {kind!r} cannot be forgotten", code="reserved-kind")
        if payload is None:
            return
        session.run("forget", (seq,))
        session.forgot = True
        values = msgspec.json.decode(payload)
        for field, word in session.all("fields_of_kind", {"low": f"{kind}:", "high": f"{kind};"}):
            value = str(values.get(word.removeprefix(f"{kind}:")))
            session.run("drop_indexed", (field, value, project, seq))
        tombstone = Forgotten(subject=identifier, digest=digest.hex())
        self.add(_digested(draft(tombstone, parents=(identifier,))))

    def _flush(self) -> None:
        session = self._session
        session.many("add_fact", self._facts)
        session.many("add_edge", self._edges)
        self._indexed.sort()
        session.many("add_indexed", self._indexed)
        self._facts, self._edges, self._indexed = [], [], []

    def close(self, known_link: int | None) -> Receipt:
        """Write what was gathered and its link; without new facts, answer with an older link."""
        session = self._session
        if not self._entries:
            row = session.one(
                "last_link" if known_link is None else "link",
                () if known_link is None else (known_link,),
            )
            number, digest, seq = (row or (0, b"", 0))[:3]
            return Receipt(link=number, chain=digest.hex(), seq=seq)
        self._flush()
        chain = chain_hash(self._previous, self._entries)
        session.run(
            "add_link",
            (
                self._link,
                bytes.fromhex(chain),
                self._first,
                self._last_seq,
                self._project,
                session.words.intern("actor", self._batch.actor),
                self._batch.reason,
                self.micros,
                self._digest,
            ),
        )
        return Receipt(link=self._link, chain=chain, seq=self._last_seq)
