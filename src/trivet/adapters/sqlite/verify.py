"""Does the ledger still say what was written? From its raw pages up to its projections.

Every byte is covered by at least one check: pages by their checksums, the write-ahead log by the
checksum of each frame, a lost tail by the anchors, payloads and envelopes by the chain, heads,
edges, indexed values and columns of documents by what they were made from.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import apsw
import msgspec

from trivet.adapters.sqlite.anchors import Anchor, Anchors
from trivet.adapters.sqlite.catalog_checks import damaged_blocks
from trivet.adapters.sqlite.connection import QUERIES, execute, open_connection
from trivet.adapters.sqlite.pages import damaged_frames, damaged_pages
from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import Session
from trivet.core.clock import from_micros
from trivet.core.errors import Corrupt
from trivet.core.facts import Entry, HeadMoved, Link, chain_hash, payload_digest
from trivet.core.ports import Damage

_LINKS_AT_ONCE = 200
_HINT = "Restore a backup."


def verify(readers: Readers) -> Iterator[Damage | Link]:
    """Check everything; yield each link that holds and all damage found.

    Writers may go on meanwhile: the contents are read in one snapshot.
    """
    connection = open_connection(readers.path, writes=False)
    with closing(connection):
        session = Session(connection)
        execute(connection, "BEGIN")
        checks: tuple[Callable[[], Iterable[Damage | Link]], ...] = (
            lambda: damaged_pages(connection, readers.path),
            lambda: damaged_frames(connection, readers.path),
            lambda: _anchors(session, Anchors(readers.path.parent)),
            lambda: _structure(session),
            lambda: _chain(session),
            lambda: _heads(session),
            lambda: _indexed(session),
            lambda: damaged_blocks(session),
        )
        for check in checks:
            try:
                yield from check()
            except (apsw.Error, Corrupt, msgspec.DecodeError) as error:
                yield _damage(readers.path.name, f"cannot be read to its end: {error}")


def _damage(name: str, problem: str, hint: str = _HINT) -> Damage:
    return Damage(store="ledger", name=name, problem=problem, hint=hint)


def _anchors(session: Session, anchors: Anchors) -> Iterator[Damage]:
    (commits,) = session.one("counter") or (0,)
    if commits and not anchors.path.exists():
        yield _damage(
            anchors.path.name,
            "is missing, so a lost tail could not be noticed",
            "It is made again by the next commit.",
        )
    for item in anchors.read():
        if not isinstance(item, Anchor):
            yield _damage(
                f"{anchors.path.name}, slot {item}",
                "does not match its checksum",
                f"Delete {anchors.path.name}: it is made again by the next commit.",
            )
        elif item.commit > commits:
            yield _damage(
                f"commit {item.commit}",
                f"was acknowledged and is lost: the ledger ends at commit {commits}",
            )
        elif item.link:
            row = session.one("link_hash", (item.link,))
            if row is None or row[0] != item.hash:
                yield _damage(f"link {item.link}", "is not the one that was acknowledged")


def _structure(session: Session) -> Iterator[Damage]:
    for (finding,) in session.execute("PRAGMA integrity_check"):
        if finding != "ok":
            yield _damage("ledger.db", str(finding))


def _chain(session: Session) -> Iterator[Damage | Link]:
    previous, number, seq, edges = "", 0, 0, 0
    while links := session.all("links_since", (number, _LINKS_AT_ONCE)):
        for row in links:
            expected = (number + 1, seq + 1)
            number, seq = row[0], row[3]
            name = f"link {number}"
            if (number, row[2]) != expected:
                yield _damage(name, "does not follow the link before it")
            try:
                members = session.all("facts_between", (row[2], row[3]))
                entries = [_entry(session, row, fact) for fact in members]
                yield from _payloads(members)
                yield from _edges(session, entries)
            except (apsw.Error, Corrupt, AttributeError, TypeError, ValueError) as error:
                # A torn page can put NULL, or a value of another type, where none may stand.
                yield _damage(name, f"cannot be read: {error}")
                previous = row[1].hex()
                continue
            edges += sum(len(set(entry.parents)) for entry in entries)
            if chain_hash(previous, entries) == row[1].hex():
                yield Link(number=number, hash=row[1].hex(), first_seq=row[2], last_seq=seq)
            else:
                yield _damage(name, "a fact's envelope or digest was changed: the chain breaks")
            previous = row[1].hex()
    if (session.one("largest_seq") or (0,))[0] != seq:
        yield _damage(f"facts behind {seq}", "belong to no link")
    if (session.one("count_edges") or (0,))[0] != edges:
        yield _damage("edges", "are not as many as the facts' parents")


def _entry(session: Session, link: Any, fact: Any) -> Entry:
    seq, identifier, kind, project, number, digest, parents, _, _ = fact
    if (number, project) != (link[0], link[4]):
        raise Corrupt(f"fact {identifier.hex()} names another link or project")
    joined = parents.hex()
    return Entry(
        id=identifier.hex(),
        kind=session.words.word(kind),
        project=session.words.word(project),
        actor=session.words.word(link[5]),
        reason=link[6],
        time=from_micros(link[7]),
        seq=seq,
        parents=tuple(joined[at : at + 32] for at in range(0, len(joined), 32)),
        digest=digest.hex(),
        payload=None,
    )


def _payloads(facts: list[Any]) -> Iterator[Damage]:
    for fact in facts:
        identifier, digest, salt, payload = fact[1], fact[5], fact[7], fact[8]
        if (salt is None) != (payload is None):
            yield _damage(identifier.hex(), "the payload is half forgotten")
        elif payload is not None and payload_digest(salt, payload) != digest.hex():
            yield _damage(identifier.hex(), "the payload was changed")


def _edges(session: Session, entries: list[Entry]) -> Iterator[Damage]:
    for entry in entries:
        for parent in set(entry.parents):
            row = session.one("seq_of", (bytes.fromhex(parent),))
            if row is None or session.one("has_edge", (row[0], entry.seq)) is None:
                yield _damage(entry.id, f"the way from its parent {parent} is missing")


def _heads(session: Session) -> Iterator[Damage]:
    standing: dict[tuple[int, str], tuple[bytes, bytes]] = {}
    for identifier, project, payload in session.all("head_moves"):
        try:
            moved = msgspec.json.decode(payload, type=HeadMoved)
        except (msgspec.DecodeError, TypeError):
            yield _damage(identifier.hex(), "does not say which head it moved")
            continue
        before = standing.pop((project, moved.name), None)
        if moved.before != (before[0].hex() if before else None):
            yield _damage(f"head {moved.name}", f"did not stand where {identifier.hex()} says")
        if moved.after is not None:
            standing[project, moved.name] = (bytes.fromhex(moved.after), identifier)
    found = {
        (project, name): (target, moved_by)
        for project, name, target, moved_by in session.all("all_heads")
    }
    for project, name in standing.keys() | found.keys():
        if standing.get((project, name)) != found.get((project, name)):
            yield _damage(f"head {name}", "does not stand where its history leads")


def _indexed(session: Session) -> Iterator[Damage]:
    fields: dict[int, tuple[int | None, str]] = {}
    for row in session.execute(QUERIES["indexed_rows"]):
        field, value, project, seq, kind, fact_project, payload = row
        if field not in fields:
            owner, _, name = session.words.word(field).rpartition(":")
            fields[field] = (session.words.find("kind", owner), name)
        if payload is None or (kind, fact_project) != (fields[field][0], project):
            yield _damage(f"fact {seq}", "is found by a value that is not its own")
        elif str(msgspec.json.decode(payload).get(fields[field][1])) != value:
            yield _damage(f"fact {seq}", f"is found by a wrong value of {fields[field][1]!r}")
