"""The two databases in which MLflow's tables are read: SQLite, and PostgreSQL through psycopg 3."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from trivet.adapters.mlflow.selecting import Row
from trivet.core.errors import Invalid, NotFound, Unavailable, Unsupported

_AT_ONCE: Final = 5_000


class SqliteTables:
    """Tables in a file of SQLite, opened for reading alone.

    Args:
        path: The file.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no database.
    """

    def __init__(self, path: Path) -> None:
        import apsw

        if not path.is_file():
            raise NotFound(f"there is no file {path}", code="no-file")
        self.name = f"sqlite:///{path.resolve()}"
        try:
            self._connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            self._connection.set_busy_timeout(10_000)
            # A stranger's file: its views and triggers shall not call functions.
            self._connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            self._connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            list(self._connection.execute("SELECT name FROM sqlite_schema LIMIT 1"))
        except apsw.Error as error:
            raise Invalid(
                f"{path} is no database of SQLite: {error}", code="no-database"
            ) from error

    def columns(self, table: str) -> set[str]:
        found = self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return {str(row[0]) for row in found}

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        import apsw

        try:
            cursor = self._connection.cursor()
            cursor.execute(statement, tuple(values))
            names: list[str] | None = None
            for row in cursor:
                if names is None:
                    names = [column[0] for column in cursor.getdescription()]
                yield dict(zip(names, row, strict=True))
        except apsw.Error as error:
            raise Unavailable(
                f"{self.name} cannot be read: {error}",
                code="database-refused",
                hint="Copy the file aside if a program holds it, and import the copy.",
            ) from error

    def close(self) -> None:
        self._connection.close()


class PostgresTables:
    """Tables in PostgreSQL, read in one transaction that sees one moment.

    Args:
        url: `postgresql://user:password@host:port/database`; drivers in its scheme are ignored.

    Raises:
        Unsupported: psycopg is not installed.
        Unavailable: The server does not answer, or refuses.
    """

    def __init__(self, url: str) -> None:
        try:
            psycopg = import_module("psycopg")
        except ModuleNotFoundError as error:
            raise Unsupported(
                "reading PostgreSQL needs the library psycopg, which is not installed",
                code="no-library",
                hint="Install it: `pip install 'trivet[moving]'`.",
            ) from error
        scheme, colon, rest = url.partition(":")
        self.name = _without_secrets(url)
        self._cursors = 0
        self._error: type[Exception] = psycopg.Error
        try:
            self._connection: Any = psycopg.connect(
                f"{scheme.partition('+')[0]}{colon}{rest}", connect_timeout=10
            )
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        except self._error as error:
            raise self._refused(error) from error

    def columns(self, table: str) -> set[str]:
        # Those of the table that plain SQL would find, in whatever schema the search path says.
        statement = (
            "SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(?) "
            "AND attnum > 0 AND NOT attisdropped"
        )
        return {row["name"] for row in self.rows(statement, (table,))}

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        by_name = import_module("psycopg.rows").dict_row
        self._cursors += 1
        text: Any = statement.replace("?", "%s")
        try:
            # A cursor with a name is the server's: rows come in pieces, never all at once.
            with self._connection.cursor(f"rows_{self._cursors}", row_factory=by_name) as cursor:
                cursor.itersize = _AT_ONCE
                cursor.execute(text, values)
                yield from cursor
        except self._error as error:
            raise self._refused(error) from error

    def close(self) -> None:
        self._connection.close()

    def _refused(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"{self.name} cannot be read: {str(error).strip()}",
            code="database-refused",
            hint="Check the address, the password and the right to read the tables.",
        )


def sqlite_path(url: str) -> Path:
    """Return the file that `sqlite:///path` means: with four slashes an absolute one.

    Raises:
        Invalid: It names none.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != "sqlite" or not rest.startswith("/") or rest == "/":
        raise Invalid(f"{url!r} names no database; expected sqlite:///path", code="bad-source")
    return Path(unquote(rest[1:].partition("?")[0]))


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{host}{port}{parts.path}"
