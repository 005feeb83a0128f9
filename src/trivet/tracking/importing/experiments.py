"""Landing experiments: found again by where they came from or by name, or begun."""

from typing import Final

from trivet.core.catalog import Amendment, Compare, Document, Search
from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Draft, HeadMove, Scope, draft
from trivet.core.moving import HeldExperiment
from trivet.core.ports import Stores
from trivet.tracking.importing.cleaning import (
    Remarks,
    clean_text,
    clean_texts,
    digest_of,
    is_bucket,
)
from trivet.tracking.reporting.documents import (
    EXPERIMENTS,
    IMPRINT,
    changed_experiment,
    made_experiment,
    origin_of,
)
from trivet.tracking.reporting.experiments import NAMES, Experiments, location_of
from trivet.tracking.reporting.facts import (
    Experiment,
    ExperimentChanged,
    ExperimentMade,
    Imported,
)

_MOST_NAME: Final = 500
_MOST_DIGITS: Final = 18
_ATTEMPTS: Final = 100


class ExperimentLanding:
    """Brings experiments of one store into a project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        experiments: Those of the project.
        source: Which store they come from.
        remarks: Told of what is otherwise here.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        experiments: Experiments,
        source: str,
        remarks: Remarks,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._experiments = experiments
        self._source = source
        self._remarks = remarks
        self.reserved: set[int] = set()
        """Numbers of experiments of the other store, which are not given to others of it."""

    def find(self, held: HeldExperiment) -> Experiment | None:
        """Return the experiment that this is here: imported before, or of the same name."""
        origin = origin_of(self._imported(held))
        wanted = Search(
            collection=EXPERIMENTS,
            groups=(self._scope.project,),
            where=Compare("origin", "=", origin),
            limit=1,
        )
        for document in self._stores.catalog.search(wanted).documents:
            return self._experiments.get(int(document.id.rpartition("/")[2]))
        try:
            return self._experiments.by_name(self._name(held))
        except NotFound:
            return None

    def land(self, held: HeldExperiment) -> Experiment:
        """Let an experiment be here as it is there.

        Raises:
            Conflict: Others make experiments faster than this one finds a number.
        """
        self._experiments.default()
        for _ in range(_ATTEMPTS):
            known = self.find(held)
            try:
                if known is None:
                    return self._begin(held)
                self._change(known, held)
                return self._experiments.get(known.number)
            except Conflict:
                continue  # somebody else has taken the name or the number
        raise Conflict("experiments are made faster than they can be numbered", code="busy")

    def _begin(self, held: HeldExperiment) -> Experiment:
        number = self._number(held)
        made = ExperimentMade(
            number=number,
            name=self._name(held),
            location=held.location if is_bucket(held.location) else location_of(number),
            tags=clean_texts(held.tags, "tag", self._remarks),
            imported=self._imported(held),
        )
        fact = draft(made)
        documents = [made_experiment(self._scope.project, fact.id, made, held.made_ms)]
        facts = [fact]
        if held.stage == "deleted":
            gone = ExperimentChanged(experiment=fact.id, stage="deleted", imported=made.imported)
            facts.append(draft(gone, parents=[fact.id]))
            documents.append(changed_experiment(self._scope.project, number, gone, held.changed_ms))
        heads = [HeadMove(name=NAMES + made.name, to=fact.id, expect=None)]
        self._commit(held, facts, documents, heads)
        return self._experiments.get(number)

    def _change(self, known: Experiment, held: HeldExperiment) -> None:
        document = self._stores.catalog.get(
            EXPERIMENTS, [self._experiments.group_of(known.number)]
        )[0]
        if document.notes.get(IMPRINT) == digest_of(held):
            return
        tags = clean_texts(held.tags, "tag", self._remarks)
        news = {key: value for key, value in tags.items() if known.tags.get(key) != value}
        heads: list[HeadMove] = []
        name = self._rename(document, known, held)
        if name is not None:
            heads = [
                HeadMove(name=NAMES + known.name, to=None, expect=known.id),
                HeadMove(name=NAMES + name, to=known.id, expect=None),
            ]
        stage = held.stage if held.stage != known.stage and _was_imported(document) else None
        changed = ExperimentChanged(
            experiment=known.id,
            name=name,
            stage=stage,
            tags=news,
            made_ms=held.made_ms if 0 < held.made_ms < known.made_ms else None,
            imported=self._imported(held),
        )
        amendment = changed_experiment(self._scope.project, known.number, changed, held.changed_ms)
        self._commit(held, [draft(changed, parents=[known.id])], [amendment], heads)

    def _rename(self, document: Document, known: Experiment, held: HeldExperiment) -> str | None:
        """Return the new name of an experiment that was renamed there, if it is free here."""
        name = self._name(held)
        if name == known.name or not _was_imported(document):
            return None
        if self._stores.ledger.head(self._scope.project, NAMES + name) is not None:
            self._remarks.note(f"the experiment {known.name!r} is not renamed: {name!r} is taken")
            return None
        return name

    def _number(self, held: HeldExperiment) -> int:
        """Return the number it has there when that is free here, or else the next free one."""
        is_number = held.id.isascii() and held.id.isdigit() and len(held.id) <= _MOST_DIGITS
        if is_number and not self._is_taken(int(held.id)):
            return int(held.id)
        free = self._experiments.next_number()
        while free in self.reserved or self._is_taken(free):
            free += 1
        if is_number:
            name = self._name(held)
            self._remarks.note(f"the experiment {name!r} is {free} here: {held.id} is taken")
        return free

    def _is_taken(self, number: int) -> bool:
        place = self._experiments.group_of(number)
        return bool(self._stores.catalog.get(EXPERIMENTS, [place]))

    def _name(self, held: HeldExperiment) -> str:
        name = clean_text(held.name, "name of an experiment", self._remarks)[:_MOST_NAME]
        return name if name.strip() else f"experiment {held.id}"

    def _imported(self, held: HeldExperiment) -> Imported:
        return Imported(
            source=self._source,
            id=held.id,
            made_ms=held.made_ms,
            changed_ms=held.changed_ms,
            imprint=digest_of(held),
        )

    def _commit(
        self,
        held: HeldExperiment,
        facts: list[Draft],
        documents: list[Amendment],
        heads: list[HeadMove],
    ) -> None:
        reason = f"import experiment {self._name(held)}"
        batch = self._scope.batch(reason, facts, heads=heads, documents=documents)
        self._stores.ledger.commit(batch)


def _was_imported(document: Document) -> bool:
    return IMPRINT in document.notes
