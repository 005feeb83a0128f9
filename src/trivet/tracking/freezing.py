"""Frozen files: artifacts that somebody vouched for, and that nobody writes over or deletes.

A frozen place is a head. Whoever writes a file names, in the very commit, all heads that would
freeze it as heads that must not be there: of a file that changes and a place that freezes at the
same moment, one loses.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from trivet.core.errors import Conflict, Forbidden
from trivet.core.facts import Draft, Fact, HeadMove, draft, read
from trivet.core.ports import Ledger
from trivet.core.search import find_all
from trivet.tracking.paths import folders_of

_PREFIX: Final = "frozen/"


class FilesFrozen(Fact, frozen=True, kw_only=True):
    """The file at a path of an owner, or all files below it, stay as they are; parent: for whom."""

    KIND = "files.frozen"
    INDEXED = ("owner",)

    owner: str
    path: str
    """A file or a folder; empty: all of the owner's."""
    subject: str
    """The fact for whose sake they stay, such as a model version."""
    why: str


class Place(msgspec.Struct, frozen=True):
    """A file or a folder among somebody's artifacts."""

    owner: str
    path: str


class FrozenFiles:
    """What is frozen in one project.

    Args:
        ledger: Where it is recorded.
        project: Whose files.
    """

    def __init__(self, ledger: Ledger, project: str) -> None:
        self._ledger = ledger
        self._project = project

    def freeze(self, place: Place, subject: str, why: str) -> tuple[Draft, HeadMove]:
        """Return what a commit must write so that a place is frozen from then on."""
        frozen = FilesFrozen(owner=place.owner, path=place.path, subject=subject, why=why)
        fact = draft(frozen, parents=[subject])
        return fact, HeadMove(name=_head(place.owner, place.path), to=fact.id)

    def standing(self, place: Place) -> str | None:
        """Return the fact by which exactly this place is frozen, or None."""
        head = self._ledger.head(self._project, _head(place.owner, place.path))
        return None if head is None else head.target

    def facts(self, place: Place) -> Iterator[tuple[str, FilesFrozen]]:
        """Yield every fact that ever froze exactly this place, the newest first."""
        for entry in find_all(
            self._ledger,
            FilesFrozen.KIND,
            where={"owner": place.owner},
            project=self._project,
            newest_first=True,
        ):
            if entry.payload is not None and (fact := read(entry, FilesFrozen)).path == place.path:
                yield entry.id, fact

    def places(self, owner: str | None = None) -> dict[Place, FilesFrozen]:
        """Return what is frozen of an owner, or of all."""
        prefix = _PREFIX if owner is None else _head(owner, "")
        heads = self._ledger.heads(self._project, prefix)
        facts = (read(self._ledger.get(head.target), FilesFrozen) for head in heads)
        return {Place(fact.owner, fact.path): fact for fact in facts}

    def thaw(self, place: Place, standing: str, to: str | None = None) -> HeadMove:
        """Return the move by which a place is frozen no longer, or by another fact."""
        return HeadMove(name=_head(place.owner, place.path), to=to, expect=standing)

    def demand_free(self, owner: str, path: str) -> None:
        """Refuse to change a file or folder that is frozen, lies in what is, or holds some.

        Raises:
            Forbidden: It is frozen (code `frozen`).
        """
        for place, fact in self.places(owner).items():
            if _is_within(path, place.path) or _is_within(place.path, path):
                raise _frozen(path or place.path, fact.why)

    def absences(self, owner: str, paths: Iterable[str]) -> list[HeadMove]:
        """Return the heads that must not be there while files change: theirs and their folders'."""
        places = {"": None}
        for path in paths:
            places |= dict.fromkeys((*folders_of(path), path))
        return [HeadMove(name=_head(owner, place), to=None, expect=None) for place in places]


def frozen_meanwhile(error: Conflict) -> Forbidden | None:
    """Return what a commit that did not pass means, if it is that something is frozen by now."""
    name = str(error.detail.get("name", ""))
    if error.code != "head-moved" or not name.startswith(_PREFIX):
        return None
    path = name.removeprefix(_PREFIX).partition("/")[2]
    return _frozen(path or "all of it", "somebody approved it a moment ago")


def _head(owner: str, path: str) -> str:
    return f"{_PREFIX}{quote(owner, safe=':')}/{path}"


def _is_within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _frozen(path: str, why: str) -> Forbidden:
    return Forbidden(
        f"{path!r} is frozen: {why}",
        code="frozen",
        hint="Log the changed files as a new model and register a new version of it.",
    )
