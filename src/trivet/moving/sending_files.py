"""Sending the files of what is sent."""

from collections.abc import Callable, Iterable

from trivet.core.errors import Forbidden, Invalid, NotFound, Unsupported
from trivet.core.moving import HeldFile, Receiver
from trivet.moving.facts import Counts, Left


class FileSending:
    """Sends files, and notes what cannot be sent.

    Args:
        receiver: Where they go.
        counts: Counted on.
        left: Told of owners whose files stay here.
    """

    def __init__(self, receiver: Receiver, counts: Counts, left: list[Left]) -> None:
        self._receiver = receiver
        self.counts = counts
        self._left = left

    def send(self, owner: str, location: str, listed: Callable[[], Iterable[HeldFile]]) -> None:
        """Send the files of somebody that are not there yet.

        Args:
            owner: Whose they are there.
            location: Where they are, for people.
            listed: Lists them.
        """
        try:
            for file in listed():
                if self._receiver.put(owner, file):
                    self.counts.files += 1
                    self.counts.size_bytes += file.size_bytes or 0
        except (Unsupported, Forbidden, NotFound, Invalid) as error:
            self._left.append(Left(owner=owner, location=location, reason=error.message))
