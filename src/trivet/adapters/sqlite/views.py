"""The `Views` in SQLite: typed tables that rooms declare."""

from collections.abc import Iterable, Mapping
from typing import Any

from trivet.adapters.sqlite import projections
from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.writer import Writer
from trivet.core.facts import ViewPut
from trivet.core.ports import Row, View
from trivet.core.rules import check_view


class SqliteViews:
    """Typed, indexed, mutable projections."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def declare(self, view: View) -> None:
        check_view(view)
        with self._readers.session() as session:  # mostly it is: nothing to write
            if projections.is_declared(session, view):
                return
        self._writer.do(lambda session: projections.declare(session, view))

    def put(self, view: str, rows: Iterable[Row]) -> None:
        puts = [ViewPut(view=view, row=row) for row in rows]
        self._writer.do(lambda session: projections.put_rows(session, puts))

    def find(
        self,
        view: str,
        *,
        where: Mapping[str, Any] | None = None,
        order: str | None = None,
        after: tuple[Any, ...] | None = None,
        limit: int = 100,
    ) -> tuple[Row, ...]:
        with self._readers.snapshot() as session:
            return projections.select(session, view, where or {}, order, after, limit)

    def remove(self, view: str, where: Mapping[str, Any]) -> int:
        return self._writer.do(lambda session: projections.delete(session, view, where))
