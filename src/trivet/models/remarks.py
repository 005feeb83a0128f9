"""What people say of models and versions later: that they are deprecated, and comments."""

from datetime import datetime

import msgspec

from trivet.core.facts import Fact


class Deprecated(Fact, frozen=True, kw_only=True):
    """Somebody advises against a version, or a model, or takes that back; its parent is it.

    Who and when, the fact's envelope says.
    """

    KIND = "model.deprecated"
    INDEXED = ("subject",)

    subject: str
    """The version, or the `registered-model` fact."""
    why: str
    instead: str = ""
    """What to use, as `name:3` or `name`; empty: nothing is known."""
    is_over: bool = False
    """It may be used again."""
    force: str = ""
    """Why it is deprecated although a protected alias points at it."""


class AliasForced(Fact, frozen=True, kw_only=True):
    """Somebody let a protected alias point at a deprecated version; parents: it, and who said so.

    It is recorded beside the approvals that the move needed all the same.
    """

    KIND = "alias.forced"
    INDEXED = ("place", "model")

    place: str
    model: str
    why: str
    """Why it is deprecated."""
    reason: str
    """Why it is used all the same."""


class Commented(Fact, frozen=True, kw_only=True):
    """A comment about a version or a model, or a later wording of one.

    The parent is what it is about; of a later wording, the wording before.
    """

    KIND = "model.comment"
    INDEXED = ("subject", "comment")

    subject: str
    """The version, or the `registered-model` fact."""
    text: str
    comment: str | None = None
    """The comment's first wording; None in that itself."""
    is_withdrawn: bool = False


class CardWritten(Fact, frozen=True, kw_only=True):
    """Somebody wrote a section of a model's card that no fact can know; its parent is the subject.

    The newest text of a section counts; what is written of the model holds for each version that
    has none of its own.
    """

    KIND = "model.card"
    INDEXED = ("subject",)

    subject: str
    section: str
    text: str
    """Empty: it is taken back."""


class Deprecation(msgspec.Struct, frozen=True, kw_only=True):
    """A deprecation as it stands."""

    id: str
    """The fact that says so."""
    why: str
    instead: str
    by: str
    time: datetime
    is_of_name: bool
    """It is about the model, and so about all of its versions."""

    def __str__(self) -> str:
        instead = f"; use {self.instead}" if self.instead else ""
        return f"deprecated by {self.by} on {self.time:%Y-%m-%d}: {self.why}{instead}"


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How a comment read from some time on."""

    text: str
    time: datetime


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment as it stands, with what it said before."""

    id: str
    subject: str
    by: str
    time: datetime
    text: str
    is_withdrawn: bool
    earlier: tuple[Wording, ...] = ()


class DeprecatedModel(UserWarning):
    """Something is loaded, released or given an alias that people advise against."""
