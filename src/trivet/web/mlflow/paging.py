"""Page tokens: where a search goes on, and which search it is."""

import base64
import binascii
from hashlib import blake2b

import msgspec

from trivet.core.catalog import Position
from trivet.core.errors import Invalid
from trivet.web.mlflow.rendering import Message


class _Token(msgspec.Struct, frozen=True, array_like=True):
    search: bytes
    position: Position


def write_token(position: Position, search: object) -> str:
    """Return the token that goes on behind a position.

    Args:
        position: Where the page ended.
        search: All that the search was given, JSON-ready; the token is refused for another one.
    """
    token = _Token(_digest(search), position)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(token)).decode()


def read_token(token: str, search: object) -> Position | None:
    """Return where to go on; None for an empty token, the beginning.

    Raises:
        Invalid: It is no token of this search.
    """
    if not token:
        return None
    try:
        read = msgspec.msgpack.decode(base64.urlsafe_b64decode(token), type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _invalid() from error
    if read.search != _digest(search):
        raise _invalid()
    return read.position


def with_token(message: Message, position: Position | None, search: object) -> Message:
    """Add the token of the next page to an answer, when there is a next page."""
    if position is not None:
        message["next_page_token"] = write_token(position, search)
    return message


def _digest(search: object) -> bytes:
    return blake2b(msgspec.json.encode(search), digest_size=8).digest()


def _invalid() -> Invalid:
    return Invalid(
        "Invalid page token: it belongs to no page of this search",
        code="bad-page-token",
        hint="Repeat the search from its beginning.",
    )
