"""What the statements of one write transaction, or one reader, work with."""

from array import array
from typing import Any

import apsw

from trivet.adapters.sqlite.connection import QUERIES, Bindings, execute
from trivet.core.errors import Corrupt


def numbers(values: list[int]) -> "apsw.CArrayBinding":
    """Bind many integers at once, for a query's `carray(?)`."""
    return apsw.carray(array("q", values))  # pyright: ignore[reportUnknownMemberType]  # its stub needs Python 3.12


class Words:
    """Repeated text and its numbers, remembered; words never change once committed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._ids: dict[tuple[str, str], int] = {}
        self._words: dict[int, str] = {}

    def find(self, sort: str, word: str) -> int | None:
        """Return the number of a word, None when it was never written."""
        number = self._ids.get((sort, word))
        if number is None:
            row = execute(self._connection, QUERIES["word_id"], (sort, word)).fetchone()
            if row is not None:
                number = self._ids[sort, word] = int(row[0])
        return number

    def intern(self, sort: str, word: str) -> int:
        """Return the number of a word, writing it when it is new."""
        number = self.find(sort, word)
        if number is None:
            row = execute(self._connection, QUERIES["add_word"], (sort, word)).fetchone()
            number = self._ids[sort, word] = int(row[0])
        return number

    def word(self, number: int) -> str:
        """Return the text of a number.

        Raises:
            Corrupt: The number stands for nothing.
        """
        word = self._words.get(number)
        if word is None:
            row = execute(self._connection, QUERIES["word"], (number,)).fetchone()
            if row is None:
                raise Corrupt(
                    f"word {number} is missing from the ledger",
                    code="no-word",
                    hint="Run `trivet fsck`.",
                )
            word = self._words[number] = str(row[0])
        return word

    def of_sort(self, sort: str) -> list[int]:
        """Return the numbers of all words of a sort."""
        rows = execute(self._connection, QUERIES["words_of_sort"], (sort,))
        return [int(row[0]) for row in rows]

    def clear(self) -> None:
        """Forget what was remembered: a transaction was taken back."""
        self._ids.clear()
        self._words.clear()


class Session:
    """One connection with its statements by name."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.words = Words(connection)
        self.forgot = False
        """A payload was removed: its bytes must leave the write-ahead log, too."""

    def one(self, query: str, bindings: Bindings = ()) -> Any | None:
        """Run a named statement; return its first row or None."""
        cursor = self.execute(QUERIES[query], bindings)
        row = cursor.fetchone()
        cursor.close(force=True)
        return row

    def all(self, query: str, bindings: Bindings = ()) -> list[Any]:
        """Run a named statement; return all its rows."""
        return self.execute(QUERIES[query], bindings).fetchall()

    def run(self, query: str, bindings: Bindings = ()) -> None:
        """Run a named statement to its end."""
        self.execute(QUERIES[query], bindings).fetchall()

    def many(self, query: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a named statement once per row."""
        if rows:
            self.execute_many(QUERIES[query], rows)

    def execute(self, statement: str, bindings: Bindings = ()) -> Any:
        """Run a statement given as text; return its cursor."""
        return execute(self.connection, statement, bindings)

    def execute_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a statement given as text once per row."""
        self.connection.executemany(statement, rows)  # pyright: ignore[reportUnknownMemberType]  # its stub needs Python 3.12
