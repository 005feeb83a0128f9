"""Reading off how durable a peer's SQLite is."""

from typing import Any


def sqlite_durability(connection: Any, text: Any) -> str:
    """Say what a connection of SQLAlchemy asks of SQLite; `text` is SQLAlchemy's own."""
    journal, level = (
        connection.execute(text(f"PRAGMA {name}")).scalar()
        for name in ("journal_mode", "synchronous")
    )
    words = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
    return f"SQLite, journal {journal}, synchronous {words[level]}"
