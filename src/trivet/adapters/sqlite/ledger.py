"""The `Ledger` in SQLite: commits through the process's writer, reads of each thread's own."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from trivet.adapters.sqlite.commits import apply, prepare
from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import Session, numbers
from trivet.adapters.sqlite.verify import verify
from trivet.adapters.sqlite.writer import Writer
from trivet.core.clock import from_micros
from trivet.core.facts import Batch, Entry, Head, Link, Receipt
from trivet.core.ids import check_id
from trivet.core.ports import Damage, Page
from trivet.core.rules import check_search

_NEWEST = 2**63 - 1


class SqliteLedger:
    """Facts and heads in one file."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def commit(self, batch: Batch, *, synced: bool = True) -> Receipt:
        prepared = prepare(batch)
        return self._writer.do(lambda session: apply(session, prepared), synced=synced)

    def get(self, id: str) -> Entry | None:
        identifier = bytes.fromhex(check_id(id))
        with self._readers.session() as session:
            row = session.one("entry_by_id", (identifier,))
            return None if row is None else _to_entry(session, row)

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
        if after is None:
            after = _NEWEST if newest_first else 0
        way = "falling" if newest_first else "rising"
        scope = {"after": after, "limit": limit + 1}
        with self._readers.snapshot() as session:
            ranges = _Search(session, kind, project, parent, way).ranges(where, scope)
            merged = ranges[0] if len(ranges) == 1 else heapq.merge(*ranges, reverse=newest_first)
            seqs = list(islice(merged, limit + 1))
            rows = session.all("entries_of", (numbers(seqs[:limit]),)) if seqs else []
            entries = tuple(_to_entry(session, row) for row in rows)
        return Page(entries=entries, after=seqs[limit - 1] if len(seqs) > limit else None)

    def head(self, project: str, name: str) -> Head | None:
        with self._readers.session() as session:
            row = session.one("head", (session.words.find("project", project), name))
        if row is None:
            return None
        return Head(name=name, project=project, target=row[0].hex(), moved_by=row[1].hex())

    def heads(self, project: str, prefix: str = "") -> tuple[Head, ...]:
        with self._readers.session() as session:
            number = session.words.find("project", project)
            rows = session.all("heads", {"project": number, "prefix": prefix})
        return tuple(
            Head(name=name, project=project, target=target.hex(), moved_by=moved_by.hex())
            for name, target, moved_by in rows
        )

    def since(self, seq: int, limit: int = 1000) -> tuple[Entry, ...]:
        with self._readers.session() as session:
            rows = session.all("entries_since", (seq, limit))
            return tuple(_to_entry(session, row) for row in rows)

    def verify(self) -> Iterator[Damage | Link]:
        return verify(self._readers)


class _Search:
    """Turns a search into ranges of one index, each in the order asked for."""

    def __init__(
        self, session: Session, kind: str | None, project: str | None, parent: str | None, way: str
    ) -> None:
        self._session = session
        self._kind = kind
        self._project = project
        self._parent = parent
        self._way = way

    def ranges(self, where: Mapping[str, str] | None, scope: dict[str, Any]) -> list[Iterable[int]]:
        session = self._session
        kinds = self._numbers("kind", self._kind)
        projects = self._numbers("project", self._project)
        if self._parent is not None:
            row = session.one("seq_of", (bytes.fromhex(check_id(self._parent, "parent")),))
            scope = scope | {"parent": row[0] if row else -1}
        if not kinds or not projects:
            return [()]
        if where:
            ((name, value),) = where.items()
            field = session.words.find("field", f"{self._kind}:{name}")
            scope = {"parent": None} | scope | {"field": field, "value": value}
            return [self._seqs("by_value", scope | {"project": number}) for number in projects]
        if self._parent is not None:
            one_kind = kinds[0] if self._kind is not None else None
            one_project = projects[0] if self._project is not None else None
            return [self._seqs("by_parent", scope | {"kind": one_kind, "project": one_project})]
        if self._kind is None and self._project is None:
            return [self._seqs("all", scope)]
        return [
            self._seqs("by_kind", scope | {"kind": kind, "project": project})
            for kind in kinds
            for project in projects
        ]

    def _numbers(self, sort: str, word: str | None) -> list[int]:
        if word is None:
            return self._session.words.of_sort(sort)
        number = self._session.words.find(sort, word)
        return [] if number is None else [number]

    def _seqs(self, query: str, bindings: dict[str, Any]) -> list[int]:
        return [row[0] for row in self._session.all(f"{query}_{self._way}", bindings)]


def _to_entry(session: Session, row: Any) -> Entry:
    seq, identifier, kind, project, digest, parents, actor, reason, micros, payload = row
    word = session.words.word
    joined = parents.hex()
    return Entry(
        id=identifier.hex(),
        kind=word(kind),
        project=word(project),
        actor=word(actor),
        reason=reason,
        time=from_micros(micros),
        seq=seq,
        parents=tuple(joined[at : at + 32] for at in range(0, len(joined), 32)),
        digest=digest.hex(),
        payload=payload,
    )
