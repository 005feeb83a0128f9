"""Which versions' files stay as they are: those that people approved, or that are protected."""

from collections.abc import Iterable, Iterator

from trivet.core.catalog import Compare, Order, Search
from trivet.core.facts import Draft, HeadMove, Scope
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.models.contents import Described
from trivet.models.documents import VERSIONS
from trivet.models.facts import ApprovalGiven, ApprovalRefused, ApprovalRequested, VersionsDeleted
from trivet.models.names import name_of, stage_of
from trivet.models.protections import Protections, stage_place
from trivet.tracking.freezing import FrozenFiles, Place


class Freezing:
    """Freezes the files of versions in one project, and lets go of those nobody vouches for.

    Args:
        stores: Where versions are.
        scope: Project and actor.
        contents: Tells where their files are.
        protections: Tells which aliases are protected.
    """

    def __init__(
        self, stores: Stores, scope: Scope, contents: Described, protections: Protections
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._contents = contents
        self._protections = protections
        self._files = FrozenFiles(stores.ledger, scope.project)

    def freeze(self, model: str, why: str) -> tuple[list[Draft], list[HeadMove]]:
        """Return what a commit must write so that a version's files are frozen; maybe nothing."""
        place = self._contents.place(model)
        if place is None:
            return [], []
        fact, move = self._files.freeze(place, model, why)
        return [fact], [move]

    def freeze_protected(self) -> tuple[list[Draft], list[HeadMove]]:
        """Return what freezes everything that a protected alias or stage points at."""
        facts: list[Draft] = []
        moves: dict[str, HeadMove] = {}
        for place, model in self._pointing():
            if not self._protections.needed(place) or self._is_frozen(model):
                continue
            made, moved = self.freeze(model, f"the protected {place} points at it")
            facts += made
            moves |= {move.name: move for move in moved}
        kept = {move.to for move in moves.values()}
        return [fact for fact in facts if fact.id in kept], list(moves.values())

    def thawed(self, models: Iterable[str] | None = None, *, gone: bool = False) -> list[HeadMove]:
        """Return the moves that let go of files which nobody vouches for any longer.

        Args:
            models: Versions whose files may be let go; None: of all.
            gone: Whether these versions are being deleted.
        """
        wanted = None if models is None else set(models)
        moves: list[HeadMove] = []
        protected = {m for place, m in self._pointing() if self._protections.needed(place)}
        for place in self._places(wanted):
            standing = self._files.standing(place)
            if standing is None:
                continue
            lost = wanted or set[str]() if gone else set[str]()
            keeper = self._keeper(place, protected, lost)
            if keeper != standing:
                moves.append(self._files.thaw(place, standing, keeper))
        return moves

    def is_deleted(self, model: str) -> bool:
        """Say whether a version was deleted."""
        return bool(self._children(VersionsDeleted.KIND, model))

    # ------------------------------------------------------------------- inside

    def _places(self, models: set[str] | None) -> Iterable[Place]:
        if models is None:
            return self._files.places()
        places = (self._contents.place(model) for model in models)
        return dict.fromkeys(place for place in places if place is not None)

    def _keeper(self, place: Place, protected: set[str], lost: set[str]) -> str | None:
        """Return the newest fact that froze a place for a version that is still vouched for."""
        for fact, frozen in self._files.facts(place):
            model = frozen.subject
            if model in lost or self.is_deleted(model):
                continue
            if model in protected or self._is_approved(model):
                return fact
        return None

    def _is_frozen(self, model: str) -> bool:
        place = self._contents.place(model)
        if place is None or self._files.standing(place) is None:
            return False
        return any(fact.subject == model for _, fact in self._files.facts(place))

    def _is_approved(self, model: str) -> bool:
        for request in self._children(ApprovalRequested.KIND, model):
            about = (ApprovalGiven.KIND, ApprovalRefused.KIND)
            given, refused = (bool(self._children(kind, request)) for kind in about)
            if given and not refused:
                return True
        return False

    def _children(self, kind: str, parent: str) -> list[str]:
        found = self._stores.ledger.find(kind, parent=parent, limit=1000).entries
        return [entry.id for entry in found]

    def _pointing(self) -> Iterator[tuple[str, str]]:
        """Yield every alias and stage as a place, with the version it points at."""
        for head in self._stores.ledger.heads(self._scope.project, "model/"):
            _, at, alias = head.name.rpartition("@")
            if at:
                yield f"{name_of(head.name)}@{alias}", head.target
        wanted = Search(
            collection=VERSIONS,
            groups=(self._scope.project,),
            where=Compare("current_stage", "!=", "None"),
            order=(Order("name"),),
            limit=1000,
        )
        for document in walk(self._stores.catalog, wanted):
            stage = stage_of(str(document.attributes["current_stage"]))
            yield f"{document.attributes['name']}@{stage_place(stage)}", document.notes["fact"]
