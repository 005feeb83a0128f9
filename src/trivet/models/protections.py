"""Protections: which aliases and stages move only when enough people agreed."""

import re
import unicodedata
from fnmatch import fnmatchcase
from typing import Final

from trivet.core.errors import Invalid
from trivet.core.facts import Draft, HeadMove, Scope, draft, read
from trivet.core.ports import Ledger
from trivet.models.facts import AliasProtected, VersionStage
from trivet.models.names import STAGES

_PREFIX: Final = "protection/"
_MOST: Final = 10
_MOST_PATTERN: Final = 500
_ALIASES: Final = re.compile(r"[\w\-*?]+")


class Protections:
    """The protections of one project.

    Args:
        ledger: Where they are recorded.
        scope: Project and actor.
    """

    def __init__(self, ledger: Ledger, scope: Scope) -> None:
        self._ledger = ledger
        self._scope = scope

    def protecting(self, pattern: str, approvals: int) -> tuple[Draft, HeadMove]:
        """Return what a commit must write so that aliases of a pattern demand approvals.

        Raises:
            Invalid: The pattern is empty or means nothing, or the number is out of range.
        """
        if not 0 < len(pattern) <= _MOST_PATTERN or not pattern.isprintable():
            raise Invalid(
                "the pattern is empty, too long or not printable",
                code="bad-pattern",
                hint="Write for example champion, churn@champion or stage/Production.",
            )
        if not 0 <= approvals <= _MOST:
            raise Invalid(f"approvals is {approvals}; expected 0 to {_MOST}", code="bad-approvals")
        if approvals and not _can_mean(pattern):
            raise Invalid(
                f"the pattern {pattern!r} means no alias and no stage, and would protect nothing",
                code="bad-pattern",
                hint="Aliases have letters, digits, '_' and '-'; the stages are "
                f"{', '.join(map(stage_place, STAGES))}, in this case.",
            )
        fact = draft(AliasProtected(pattern=pattern, approvals=approvals))
        return fact, HeadMove(name=_PREFIX + pattern, to=fact.id)

    def all(self) -> dict[str, int]:
        """Return how many approvals each pattern demands."""
        heads = self._ledger.heads(self._scope.project, _PREFIX)
        facts = (read(self._ledger.get(head.target), AliasProtected) for head in heads)
        return {fact.pattern: fact.approvals for fact in facts if fact.approvals}

    def needed(self, place: str) -> int:
        """Return how many approvals a place demands, `name@alias` or `name@stage/Production`."""
        demands = (
            approvals for pattern, approvals in self.all().items() if is_meant(place, pattern)
        )
        return max(demands, default=0)


def is_meant(place: str, pattern: str) -> bool:
    """Say whether a pattern means a place.

    `*` and `?` stand for any characters and one; brackets mean themselves. A letter with a mark
    is the same letter, however it is composed.
    """
    subject = place if "@" in pattern else place.rpartition("@")[2]
    return fnmatchcase(_composed(subject), _composed(pattern).replace("[", "[[]"))


def _can_mean(pattern: str) -> bool:
    """Say whether an alias or a stage may ever stand where a pattern looks."""
    _, at, last = pattern.rpartition("@")
    if any(is_meant(stage_place(stage), last) for stage in STAGES):
        return True
    # Behind `name@`, a star may stand for the rest of a name that has an `@` itself.
    return bool(_ALIASES.fullmatch(_composed(last))) or bool(at and "*" in last)


def stage_place(stage: VersionStage) -> str:
    """Return what stands for a stage where an alias would."""
    return f"stage/{stage}"


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
