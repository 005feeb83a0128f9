"""Questions to a server of Trivet, in portions that everything on the way lets through."""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, TypeVar

import msgspec

from trivet.core.courier import Courier
from trivet.core.errors import Unavailable
from trivet.tracking.reporting.liveness import Liveness
from trivet.tracking.reporting.naming import check_text
from trivet.tracking.syncing.wire import MOST_SIGNS, Delivery, Receipt, Sign

BUNDLE_BYTES: Final = 512 << 10
"""What stands between may take no bodies of more than a mebibyte; base64 adds a third."""

T = TypeVar("T")


class Watched:
    """A file that is read by somebody else, who says nothing of how far it came.

    Args:
        file: The file.
        told: Called with each read.
    """

    def __init__(self, file: BinaryIO, told: Callable[[], None]) -> None:
        self._file = file
        self._told = told

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        self._told()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere; return where."""
        return self._file.seek(offset, whence)


def ask(
    courier: Courier, method: str, path: str, kind: type[T], question: object | None = None
) -> T:
    """Ask a server of Trivet something, and read its answer.

    Raises:
        Invalid: A text in the question has something that is no character.
        Unavailable: What answers is no server of Trivet, among others.
    """
    body = b"" if question is None else _body_of(question)
    try:
        return msgspec.json.decode(courier.ask(method, path, body), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"the answer to {method} {path} cannot be read: {error}",
            code="other-server",
            hint="Check the address: something else seems to answer there.",
        ) from error


def _body_of(question: object) -> bytes:
    try:
        return msgspec.json.encode(question)
    except UnicodeEncodeError as error:
        check_text(error.object, "a text of the question")
        raise


def give_signs(courier: Courier, liveness: Liveness) -> None:
    """Tell a server when the runs that go on here gave their last sign of life."""
    signs = [Sign(run=run, age_ms=age) for run, age in liveness.runs().items()]
    for some in cut(signs, MOST_SIGNS):
        ask(courier, "POST", "/sync", Receipt, Delivery(signs=tuple(some)))


def cut(
    items: Iterable[T],
    count: int,
    size: Callable[[T], int] = lambda _: 0,
    *,
    most: int = BUNDLE_BYTES,
) -> Iterator[list[T]]:
    """Cut a sequence into parts of at most so many items and so much; a larger one stands alone."""
    part: list[T] = []
    total = 0
    for item in items:
        if part and (len(part) >= count or total + size(item) > most):
            yield part
            part, total = [], 0
        part.append(item)
        total += size(item)
    if part:
        yield part
