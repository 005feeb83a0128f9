"""Messages on their way out: tasks of the journal, written with what they are about.

Who writes a message puts its task into the commit of the fact; who sends it claims the task.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from trivet.core.facts import Limit, TaskNew
from trivet.core.ports import Message

QUEUE: Final = "outbox"
ATTEMPTS: Final = 8


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a task: the message, and who sends it."""

    notifier: str
    """A name in `notify.toml`; or a web hook, which has a `/` in its name."""
    message: Message


def message_task(notifier: str, message: Message) -> TaskNew:
    """Return the task to hand a message to a notifier, under the message's key."""
    return TaskNew(
        key=message.key,
        queue=QUEUE,
        body=msgspec.json.encode(Order(notifier=notifier, message=message)),
        max_attempts=ATTEMPTS,
        # One at a time for each: a slow receiver holds up no message but its own.
        limit=Limit(f"{QUEUE}/{message.project}/{notifier}", 1),
    )


class Posted(msgspec.Struct, frozen=True):
    """What a receiver answered: the status, and the beginning of the body, at most 16 KiB."""

    status: int
    body: bytes


class Poster(Protocol):
    """Posts to addresses that came from outside, and to none that only the inside should reach."""

    def check(self, url: str) -> None:
        """Make sure that an address is one of http or https that may be posted to.

        A name is not looked up: where it leads is seen when something is posted.

        Raises:
            Invalid: It is none (code `bad-url`), or leads to where nothing is posted
                (`forbidden-address`).
        """
        ...

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Posted:
        """Post, and return the answer, whatever its status. Redirects are not followed.

        Raises:
            Invalid: As `check`.
            Unavailable: Nobody answered in time (code `no-answer`).
        """
        ...
