"""Options of commands that search: filters, orders, columns, pages, and files to write."""

from argparse import Namespace
from collections.abc import Iterable

from trivet.cli.command import Argument
from trivet.core.catalog import Position
from trivet.drawing.words import readable
from trivet.web.mlflow.paging import read_token, write_token

FILTER = Argument(
    "--filter",
    "a filter, such as \"metrics.loss < 0.2 AND params.model = 'tree'\"",
    {"default": ""},
)
ORDER = Argument(
    "--order",
    'what to order by, such as "metrics.loss DESC"; may be given again',
    {"action": "append", "default": []},
)
AFTER = Argument("--after", "go on behind a page: what its last line says", {"default": ""})


def listed(texts: Iterable[str]) -> list[str]:
    """Part texts at their commas."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def quoted(text: str) -> str:
    """Write a text as filters do."""
    return "'" + text.replace("'", "\\'") + "'"


def position_in(options: Namespace, *search: object) -> Position | None:
    """Return where the page begins that `--after` asks for.

    Raises:
        Invalid: It is no token of this search.
    """
    return read_token(options.after, [options.filter, options.order, *search])


def token_of(after: Position | None, options: Namespace, *search: object) -> str | None:
    """Return what `--after` takes to go on, None when a search is over."""
    if after is None:
        return None
    return write_token(after, [options.filter, options.order, *search])


def with_rest(text: str, token: str | None) -> str:
    """Return a page as a terminal may show it, with how to get the next one.

    Names and values come from anybody, and must not act on the terminal.
    """
    shown = readable(text)
    return shown if token is None else f"{shown}\n\nthere are more: --after {token}"
