"""Landing logged models, with the points by which runs measured them."""

from array import array
from collections.abc import Iterable, Sequence

from trivet.core.catalog import Amendment, Document
from trivet.core.facts import Scope, draft
from trivet.core.moving import HeldModel
from trivet.core.points import Points, SeriesKey
from trivet.core.ports import Stores
from trivet.tracking.importing.cleaning import (
    Remarks,
    clean_columns,
    clean_keys,
    clean_text,
    clean_texts,
    digest_of,
    model_id,
    place_for,
    run_id,
)
from trivet.tracking.reporting.documents import IMPRINT, changed_model, group_of, made_model
from trivet.tracking.reporting.experiments import tagged
from trivet.tracking.reporting.facts import Experiment, Imported
from trivet.tracking.reporting.logged_facts import (
    LoggedModelChanged,
    LoggedModelMade,
    Measurement,
)
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.model_points import (
    LOGGED_MODELS,
    Subject,
    is_measured,
    model_amendments,
    owner_of,
)
from trivet.tracking.reporting.naming import made_up_name


class ModelLanding:
    """Brings logged models of one store into a project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        models: Those of the project.
        source: Which store they come from.
        remarks: Told of what is otherwise here.
    """

    def __init__(
        self, stores: Stores, scope: Scope, models: LoggedModels, source: str, remarks: Remarks
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._models = models
        self._source = source
        self._remarks = remarks

    def find(self, held: HeldModel) -> Document | None:
        """Return the document of the model that this is here."""
        for document in self._stores.catalog.get(LOGGED_MODELS, [model_id(held.id)]):
            if document.group.rpartition("/")[0] == self._scope.project:
                return document
        return None

    def is_gone(self, held: HeldModel) -> bool:
        """Say whether a model that is not here cannot be, and remark it.

        What was removed here for good does not come back, and a model of another project is there.
        """
        model = model_id(held.id)
        if self.find(held) is not None or self._stores.ledger.get(model[2:]) is None:
            return False
        self._remarks.note(
            f"the logged model {held.id} was removed here for good, or is another project's"
        )
        return True

    def land(self, held: HeldModel, home: Experiment) -> None:
        """Let a logged model be here as it is there, and its points."""
        standing = self.find(held)
        if standing is not None and standing.notes.get(IMPRINT) == digest_of(held):
            return
        model = model_id(held.id)
        if standing is None:
            self._begin(held, model, home)
        else:
            self._go_on(held, model, standing)
        self._append(held, model)
        # Said last: a model without an imprint is looked at again.
        whole = LoggedModelChanged(
            model=model, imported=self._imported(held, imprint=digest_of(held))
        )
        self._commit(held, whole, model_amendments(self._stores, [model]))

    # ------------------------------------------------------------------- inside

    def _begin(self, held: HeldModel, model: str, home: Experiment) -> None:
        imported = self._imported(held)
        made = LoggedModelMade(
            experiment=home.id,
            name=clean_text(held.name, "name of a logged model", self._remarks)[:500]
            or made_up_name(model[2:]),
            location=place_for(
                held.location, home.location, home.number, f"models/{model}/artifacts"
            ),
            type=clean_text(held.type, "type of a logged model", self._remarks),
            run=run_id(held.run) if held.run else None,
            parameters=clean_texts(held.parameters, "param", self._remarks),
            tags=clean_texts(held.tags, "tag", self._remarks),
            imported=imported,
        )
        changed = LoggedModelChanged(
            model=model,
            status=held.status,
            stage="deleted" if held.stage == "deleted" else None,
            measured=tuple(_measured(held)),
            imported=imported,
        )
        group = group_of(self._scope.project, home.number)
        facts = [
            draft(made, id=model[2:], parents=[home.id]),
            draft(changed, parents=[model[2:]]),
        ]
        documents = [
            made_model(group, model[2:], made, self._scope.actor, held.made_ms),
            changed_model(changed, held.changed_ms),
        ]
        self._stores.ledger.commit(
            self._scope.batch(f"import logged model {made.name}", facts, documents=documents)
        )

    def _go_on(self, held: HeldModel, model: str, standing: Document) -> None:
        found = standing.attributes
        tags = clean_texts(held.tags, "tag", self._remarks)
        known = tagged(standing, "tags.")
        parameters = clean_texts(held.parameters, "param", self._remarks)
        before = tagged(standing, "params.")
        changed = LoggedModelChanged(
            model=model,
            status=held.status if held.status != found["status"] else None,
            stage=held.stage if held.stage != found["stage"] else None,
            parameters={key: value for key, value in parameters.items() if key not in before},
            tags={key: value for key, value in tags.items() if known.get(key) != value},
            measured=tuple(by for by in _measured(held) if not is_measured(standing, by)),
            imported=self._imported(held),
        )
        self._commit(held, changed)

    def _append(self, held: HeldModel, model: str) -> None:
        keys = clean_keys({each.key for each in held.measures}, "metric", self._remarks)
        columns: dict[SeriesKey, tuple[array[int], array[int], array[float]]] = {}
        for each in held.measures:
            subject = Subject(model, each.dataset, each.digest)
            key = SeriesKey(owner_of(subject, run_id(each.run)), keys[each.key])
            steps, times, values = columns.setdefault(key, (array("q"), array("q"), array("d")))
            steps.append(each.step)
            times.append(each.time_ms)
            values.append(each.value)
        chunks: list[tuple[SeriesKey, Points]] = []
        for key, (steps, times, values) in columns.items():
            plain_steps, plain_times, _ = clean_columns(steps, times)
            if len(self._stores.series.read(key).steps) < len(values):
                chunks.append((key, Points(plain_steps, plain_times, values)))
        if chunks:
            self._stores.series.append(chunks)

    def _commit(
        self, held: HeldModel, changed: LoggedModelChanged, more: Sequence[Amendment] = ()
    ) -> None:
        batch = self._scope.batch(
            f"import logged model {held.name}",
            [draft(changed, parents=[changed.model.removeprefix("m-")])],
            documents=[changed_model(changed, held.changed_ms), *more],
        )
        self._stores.ledger.commit(batch)

    def _imported(self, held: HeldModel, imprint: str = "") -> Imported:
        return Imported(
            source=self._source,
            id=held.id,
            made_ms=held.made_ms,
            changed_ms=held.changed_ms,
            user=held.user,
            imprint=imprint,
        )


def _measured(held: HeldModel) -> Iterable[Measurement]:
    found = dict.fromkeys((each.run, each.dataset, each.digest) for each in held.measures)
    for run, dataset, digest in found:
        yield Measurement(run=run_id(run), dataset=dataset, digest=digest)
