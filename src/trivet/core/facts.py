"""Facts: small immutable records, and the envelope in which the ledger keeps them.

A room declares what it records as a frozen `Fact`; the ledger stores an `Entry`: the payload with
project, actor, reason, time and parents. The audit chain covers the *salted digest* of the
payload, so a payload can be forgotten and the chain still holds.
"""

import os
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from trivet.core.catalog import Amendment
from trivet.core.clock import to_micros
from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.ids import new_id, sha256_hex

_MAX_PAYLOAD_BYTES = 1 << 20
_encode = msgspec.json.Encoder(order="deterministic").encode


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of everything a room records. Subclass it with a `KIND`.

    `KIND` is the name of the noun in the ledger (`"model"`, `"gate.verdict"`). `INDEXED` names up
    to four fields of type str or int by which `Ledger.find` shall be quick.

    Example:
        >>> class Note(Fact, frozen=True, kw_only=True):
        ...     KIND = "note"
        ...     INDEXED = ("about",)
        ...     about: str
        ...     text: str
        >>> draft(Note(about="run-1", text="looks odd")).index
        {'about': 'run-1'}
    """

    KIND: ClassVar[str] = ""
    INDEXED: ClassVar[tuple[str, ...]] = ()


F = TypeVar("F", bound=Fact)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A fact on its way into the ledger: what it says, where it comes from, how to find it."""

    id: str
    kind: str
    payload: bytes
    parents: tuple[str, ...] = ()
    index: dict[str, str] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A fact as the ledger keeps it.

    `seq` rises strictly over the whole ledger. `payload` is None once the fact was forgotten;
    `digest` is SHA-256 over salt and payload, in hexadecimal, and stays.
    """

    id: str
    kind: str
    project: str
    actor: str
    reason: str
    time: datetime
    seq: int
    parents: tuple[str, ...]
    digest: str
    payload: bytes | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A movable name, as it stands: `target` is the fact it points at."""

    name: str
    project: str
    target: str
    moved_by: str
    """The `head.moved` fact that put it there."""


class HeadMove(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to move a head. `to=None` removes it.

    `expect` is the target that must stand there now (None: the head must not exist); left UNSET,
    the head moves whatever it pointed at.
    """

    name: str
    to: str | None
    expect: str | UnsetType | None = UNSET


class HeadMoved(Fact, frozen=True, kw_only=True):
    """The record that every move of a head leaves: its history is `find("head.moved", ...)`."""

    KIND = "head.moved"
    INDEXED = ("name",)

    name: str
    before: str | None
    after: str | None


class Forgotten(Fact, frozen=True, kw_only=True):
    """The tombstone of a payload that was removed on purpose."""

    KIND = "forgotten"
    INDEXED = ("subject",)

    subject: str
    digest: str


class Limit(msgspec.Struct, frozen=True):
    """A concurrency limit by name: at most `at_once` tasks of this name run at a time."""

    name: str
    at_once: int


class Claim(msgspec.Struct, frozen=True):
    """Who begins a task in the moment it is added, and for how long it is theirs."""

    owner: str
    lease_s: float


class TaskNew(msgspec.Struct, frozen=True, kw_only=True):
    """Work that must survive. A `key` that exists already leaves the older task as it is."""

    key: str
    queue: str
    body: bytes
    due: datetime | None = None
    max_attempts: int = 3
    limit: Limit | None = None
    claim: Claim | None = None
    """The task is added as `running`, in its first attempt and epoch; None: it waits."""


class TaskMove(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed task's next state. `owner` and `epoch` fence out whoever lost the lease."""

    key: str
    owner: str
    epoch: int
    state: str
    """`done`, `failed` (dead letter), `ready` (try again at `due`), `cancelled`, or `running`: it
    stays as it is, and the batch is written only if the writer still holds it."""
    result: bytes | None = None
    due: datetime | None = None
    is_refunded: bool = False
    """With `ready`: the attempt does not count; it ended for a reason that is not the task's."""


class TaskOverride(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides about a task, whoever holds it: the epoch rises, the holder is fenced.

    `cancelled` ends a task that waits or runs; `ready` lets one that failed or was cancelled begin
    anew, with all its attempts. A task in any other state stays as it is.
    """

    key: str
    state: Literal["cancelled", "ready"]


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """An outside event, unique on (source, key): a second arrival refuses the whole batch."""

    source: str
    key: str


class ViewPut(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a declared view, written in the same transaction as the facts it projects."""

    view: str
    row: dict[str, Any]
    expect: dict[str, Any] = {}
    """What the row that stands there must hold, or the batch is refused (code `row-changed`)."""


class ViewFree(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a declared view in which no row stands, or the batch is refused.

    It is looked at before the batch's own rows are written.
    """

    view: str
    first: tuple[Any, ...]
    """The key with which the stretch begins."""
    last: tuple[Any, ...]
    """The key with which it ends; equal to `first` for a single row."""
    column: str
    """Rows that hold nothing in this column do not count."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one commit writes, all or none, by one actor for one reason."""

    project: str
    actor: str
    reason: str
    facts: tuple[Draft, ...] = ()
    heads: tuple[HeadMove, ...] = ()
    tasks: tuple[TaskNew | TaskMove | TaskOverride, ...] = ()
    inbox: tuple[Inbox, ...] = ()
    rows: tuple[ViewPut, ...] = ()
    free: tuple[ViewFree, ...] = ()
    documents: tuple[Amendment, ...] = ()
    forget: tuple[str, ...] = ()
    """Identifiers of facts whose payloads are to be removed."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a durable commit answers: its link of the audit chain and the last `seq` it wrote."""

    link: int
    chain: str
    seq: int


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the audit chain: one per commit that writes facts."""

    number: int
    hash: str
    first_seq: int
    last_seq: int


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf and in which project a room works."""

    project: str
    actor: str

    def batch(
        self,
        reason: str,
        facts: Iterable[Draft] = (),
        *,
        heads: Iterable[HeadMove] = (),
        tasks: Iterable[TaskNew | TaskMove | TaskOverride] = (),
        inbox: Iterable[Inbox] = (),
        rows: Iterable[ViewPut] = (),
        documents: Iterable[Amendment] = (),
    ) -> Batch:
        """Gather one commit of this project and actor."""
        return Batch(
            project=self.project,
            actor=self.actor,
            reason=reason,
            facts=tuple(facts),
            heads=tuple(heads),
            tasks=tuple(tasks),
            inbox=tuple(inbox),
            rows=tuple(rows),
            documents=tuple(documents),
        )


def draft(fact: Fact, *, parents: Iterable[str] = (), id: str | None = None) -> Draft:
    """Turn a fact into a draft: canonical JSON, indexed fields taken out, a fresh UUIDv7.

    Args:
        fact: What is to be recorded.
        parents: Identifiers of the facts it was made from, in the order that matters to the kind.
        id: An identifier chosen before, so that a retry commits the same fact once.

    Raises:
        Invalid: The payload is larger than 1 MiB (bytes belong into a blob), or an indexed field
            is neither str nor int.
    """
    payload = _encode(fact)
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise Invalid(
            f"a fact of kind {fact.KIND!r} has a payload of {len(payload)} bytes; "
            f"expected at most {_MAX_PAYLOAD_BYTES}",
            code="fact-too-large",
            hint="Store the bytes as a blob and record its digest.",
        )
    index: dict[str, str] = {}
    for name in fact.INDEXED:
        value = getattr(fact, name)
        if value is None:
            continue
        if not isinstance(value, str | int):
            raise Invalid(
                f"indexed field {name!r} of kind {fact.KIND!r} is a {type(value).__name__}; "
                "expected str or int",
                code="bad-index",
            )
        index[name] = str(value)
    return Draft(
        id=id or new_id(), kind=fact.KIND, payload=payload, parents=tuple(parents), index=index
    )


def read(entry: Entry | None, kind: type[F]) -> F:
    """Decode an entry's payload as the fact class `kind`.

    Raises:
        NotFound: There is no entry, it is of another kind, or its payload was forgotten.
        Corrupt: The payload does not decode.
    """
    if entry is None:
        raise NotFound(f"no fact of kind {kind.KIND!r} has this identifier", code="no-fact")
    if entry.kind != kind.KIND:
        raise NotFound(
            f"the fact {entry.id} is of kind {entry.kind!r}; expected {kind.KIND!r}",
            code="other-kind",
        )
    if entry.payload is None:
        raise NotFound(f"the payload of fact {entry.id} was forgotten", code="forgotten")
    try:
        return msgspec.json.decode(entry.payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"the payload of fact {entry.id} does not decode as {kind.KIND!r}: {error}",
            hint="Run `trivet fsck`.",
        ) from error


def new_salt() -> bytes:
    """Make the 16 random bytes that keep a forgotten payload from being guessed from its digest."""
    return os.urandom(16)


def payload_digest(salt: bytes, payload: bytes) -> str:
    """Digest a payload for the chain: SHA-256 over the 16-byte salt and the payload."""
    return sha256(salt + payload).hexdigest()


def chain_hash(previous: str, entries: Iterable[Entry]) -> str:
    """Compute the next link of the audit chain from the one before and a commit's entries.

    Each entry contributes every field of its envelope and the salted digest, not the payload.
    """
    envelopes = (
        [
            entry.id,
            entry.kind,
            entry.project,
            entry.actor,
            entry.reason,
            to_micros(entry.time),
            entry.seq,
            entry.parents,
            entry.digest,
        ]
        for entry in entries
    )
    return sha256_hex(previous.encode(), *map(_encode, envelopes))
