"""What people write for a model's card: purpose, users, limits, ethics; no fact knows these."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from trivet.core.errors import Invalid
from trivet.core.facts import Scope, draft, read
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.models.references import Finder, Subject
from trivet.models.remarks import CardWritten

SECTIONS: Final[Mapping[str, str]] = {
    "summary": "what the model does, in a sentence or two",
    "use": "the primary intended use",
    "users": "who is meant to use it",
    "out-of-scope": "what it must not be used for",
    "factors": "groups, instruments and surroundings by which it may differ",
    "metrics": "why these figures were chosen, and by which threshold it decides",
    "evaluation-data": "why it was judged on these rows, and how they were prepared",
    "training-data": "how the training data was gathered and prepared",
    "ethics": "sensitive data, harm that may come of it, and what was done against it",
    "limitations": "known errors, gaps, and recommendations",
    "impact": "energy, hardware and hours, where no meter recorded them",
    "license": "the licence, as an SPDX identifier such as Apache-2.0",
    "contact": "whom to ask",
    "citation": "how to cite it",
    "language": "the language of its texts, as a code such as en",
}
"""The sections that people write, and what belongs there."""
_MOST: Final = 20_000


class CardText(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote."""

    text: str
    by: str
    time: datetime


class CardTexts:
    """The written sections of the cards of one project.

    Args:
        stores: Where they are recorded.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._finder = Finder(stores, scope.project)

    def write(self, reference: str, section: str, text: str) -> Subject:
        """Write a section for a version, or with a name alone for all its versions.

        Args:
            reference: `name:3`, `name@alias` or `name`.
            section: One of `SECTIONS`.
            text: At most 20,000 characters; empty takes the section back.

        Raises:
            NotFound: There is no such version or model.
            Invalid: There is no such section, or the text is too long.
        """
        if section not in SECTIONS:
            raise Invalid(
                f"a card has no section {section!r}",
                code="bad-section",
                hint=f"Write one of: {', '.join(SECTIONS)}.",
            )
        if len(text) > _MOST:
            raise Invalid(
                f"the text has {len(text)} characters; expected at most {_MOST:,}",
                code="too-long",
            )
        subject = self._finder.subject(reference)
        said = CardWritten(subject=subject.id, section=section, text=text.strip())
        batch = self._scope.batch(
            f"write {section} of the card of {subject.label}", [draft(said, parents=[subject.id])]
        )
        self._ledger.commit(batch)
        return subject

    def of(self, version: str, registered: str) -> dict[str, CardText]:
        """Return what is written for a version, and where nothing is, for its model."""
        return {**self._about(registered), **self._about(version)}

    def _about(self, subject: str) -> dict[str, CardText]:
        found: dict[str, CardText] = {}
        entries = find_all(
            self._ledger,
            CardWritten.KIND,
            where={"subject": subject},
            project=self._scope.project,
        )
        for entry in entries:
            if entry.payload is None:
                continue
            said = read(entry, CardWritten)
            found[said.section] = CardText(text=said.text, by=entry.actor, time=entry.time)
        return {section: text for section, text in found.items() if text.text}
