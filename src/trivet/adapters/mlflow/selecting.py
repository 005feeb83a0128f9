"""Selecting from tables of which not every version has every column."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]


class Database(Protocol):
    """A database that is read."""

    name: str
    """Where it is, without user and password."""

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns; none when there is no such table."""
        ...

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of a statement, whose values stand as `?`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Tables:
    """The tables of a database, as far as they are there.

    Args:
        database: Where they are.
        wanted: The tables, and of some of them the columns that are taken when they are there.
    """

    def __init__(self, database: Database, wanted: Mapping[str, tuple[str, ...]]) -> None:
        self._database = database
        self._wanted = wanted
        self.columns = {table: database.columns(table) for table in wanted}
        """The names of each table's columns; none when there is no such table."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of a statement, whose values stand as `?`."""
        return self._database.rows(statement, values)

    def select(self, table: str, where: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Select the columns that are known and there."""
        names = [name for name in self._wanted[table] if name in self.columns[table]]
        return self.rows(f"SELECT {', '.join(names)} FROM {table} WHERE {where}", values)

    def pairs(
        self, table: str, owner: str, owners: Sequence[Any] | None = None, *, key: str = "key"
    ) -> dict[Any, dict[str, str]]:
        """Return the keys and values of a table, by whom they belong to."""
        if not self.columns[table]:
            return {}
        value = key.replace("key", "value") if key != "name" else "value"
        statement = f"SELECT {owner} AS owner, {key} AS k, {value} AS v FROM {table}"
        if owners is not None:
            statement += f" WHERE {owner} IN ({marks(owners)})"
        found: dict[Any, dict[str, str]] = defaultdict(dict)
        for row in self.rows(statement, owners or ()):
            found[row["owner"]][text(row["k"])] = text(row["v"])
        return found


def marks(values: Sequence[Any]) -> str:
    """Return a `?` for each value."""
    return ", ".join("?" * len(values))


def text(value: Any) -> str:
    """Return text; bytes of a database that did not mind are read as UTF-8."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def whole(value: Any) -> int | None:
    """Return a whole number; None for what is none, which a database may hold all the same."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
