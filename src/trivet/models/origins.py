"""Where logged versions come from: a run's artifacts, a logged model, or another version."""

import json
from collections.abc import Callable
from typing import cast

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Draft, HeadMove, Scope
from trivet.core.ports import Stores
from trivet.models.facts import LoggedVersion, Version
from trivet.models.sources import (
    Address,
    OfLoggedModel,
    OfRun,
    OfVersion,
    bad_source,
    is_elsewhere,
    is_inside,
    parse_source,
)
from trivet.tracking.reporting.facts import ReportedRun
from trivet.tracking.reporting.logged_facts import LoggedModel
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.runs import ReportedRuns

Copied = Callable[[str, int, str], Version | None]
"""Given a name and a number or an alias, the version that shall be copied."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a source means."""

    location: str
    """Where clients find the files."""
    run: str | None = None
    logged_model: str | None = None
    source: str = ""
    """In other words than the client's; empty: in its own."""


class Origins:
    """Finds what sources mean among the runs and logged models of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        runs: The runs that report about themselves.
        logged_models: The models that they logged.
        elsewhere: Whether sources may lie in nobody's artifacts: addresses that are handed to
            clients as they came, and runs that are not known here.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        runs: ReportedRuns,
        logged_models: LoggedModels,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._runs = runs
        self._logged_models = logged_models
        self._elsewhere = elsewhere

    def find(self, source: str, run: str | None, model: str | None, copied: Copied) -> Origin:
        """Return what a source means. Nothing is opened: it is compared with what is known.

        Args:
            source: As a client sent it.
            run: The run that it says the files are from.
            model: The logged model that it says they are of.
            copied: Finds the version that a source may name.

        Raises:
            Invalid: The source, its run or its logged model is unknown, or the source lies in
                neither's artifacts.
            NotFound: It names a version that does not exist.
        """
        parsed = parse_source(source)
        if isinstance(parsed, OfVersion):
            return self._of_version(source, parsed, (run, model), copied)
        try:
            return self._known(source, parsed, run, model)
        except Invalid:
            if self._elsewhere and not model and is_elsewhere(parsed, source):
                return Origin(location=source, run=run)
            raise

    def _known(
        self,
        source: str,
        parsed: OfRun | OfLoggedModel | Address,
        run: str | None,
        model: str | None,
    ) -> Origin:
        known_run = self._run(source, run) if run else None
        known_model = self._model(source, model) if model else None
        if isinstance(parsed, OfRun):
            return self._of_run(source, parsed, known_run, known_model)
        if isinstance(parsed, OfLoggedModel):
            if known_model is not None and known_model.id != parsed.model:
                raise bad_source(source, "it names another logged model than model_id")
            found = self._model(source, parsed.model)
            return _of_model(found, known_run, found.location)
        return self._of_address(source, parsed, known_run, known_model)

    def mentioning(
        self, made: LoggedVersion, fact: str, tag: str
    ) -> tuple[Draft, Amendment, HeadMove]:
        """Return what a commit must write for a logged model to list a version in a tag.

        The head lets one of two registrations at once go first, so that neither loses the other's.
        """
        model = made.logged_model or ""
        head = f"logged-model/{model}/registered"
        before = self._stores.ledger.head(self._scope.project, head)
        known = self._logged_models.get(model).tags.get(tag, "")
        told: object = {"name": made.name, "version": made.version}
        value = json.dumps([*_listed(known), told])  # clients' tests compare the text
        item, amendment = self._logged_models.tagging(model, {tag: value})
        move = HeadMove(name=head, to=fact, expect=before.target if before else None)
        return item, amendment, move

    # ------------------------------------------------------------------- inside

    def _of_version(
        self, source: str, parsed: OfVersion, said: tuple[str | None, str | None], copied: Copied
    ) -> Origin:
        found = copied(parsed.name, parsed.number, parsed.alias)
        if found is None:
            raise bad_source(source, f"{parsed.name!r} has no such version")
        if not found.location:
            raise bad_source(
                source, f"{found.label} is packaged or no model, and only logged ones are copied"
            )
        run, model = said
        if (run and run != found.run) or (model and model != found.logged_model):
            raise bad_source(source, "run_id and model_id must be those of the version")
        return Origin(
            location=found.location,
            run=found.run,
            logged_model=found.logged_model,
            source=f"models:/{found.name}/{found.number}",
        )

    def _of_run(
        self, source: str, parsed: OfRun, run: ReportedRun | None, model: LoggedModel | None
    ) -> Origin:
        if run is not None and run.id != parsed.run:
            raise bad_source(source, "it names another run than run_id")
        found = run or self._run(source, parsed.run)
        return Origin(
            location=f"{found.location.rstrip('/')}/{parsed.path}",
            run=found.id,
            logged_model=model.id if model else None,
        )

    def _of_address(
        self, source: str, parsed: Address, run: ReportedRun | None, model: LoggedModel | None
    ) -> Origin:
        if model is not None and is_inside(source, model.location):
            return _of_model(model, run, source)
        if run is not None and is_inside(source, run.location):
            logged = model.id if model else None
            return Origin(location=source, run=run.id, logged_model=logged)
        for owner in () if run or model else parsed.owners:
            found = self._of_owner(source, owner)
            if found is not None:
                return found
        if run or model:
            field = "model_id" if model else "run_id"
            raise bad_source(
                source,
                f"the {field} request parameter must identify the resource that contains the "
                "source",
            )
        raise bad_source(source, "it lies in the artifacts of no run and no logged model")

    def _of_owner(self, source: str, owner: str) -> Origin | None:
        """Return the origin of an address that nobody was named for, when it is in an owner's."""
        try:
            if owner.startswith("m-"):
                model = self._logged_models.get(owner)
                return _of_model(model, None, source) if is_inside(source, model.location) else None
            run = self._runs.get(owner)
        except NotFound:
            return None
        return Origin(location=source, run=run.id) if is_inside(source, run.location) else None

    def _run(self, source: str, run: str) -> ReportedRun:
        try:
            return self._runs.get(run)
        except NotFound as error:
            raise bad_source(source, error.message) from error

    def _model(self, source: str, model: str) -> LoggedModel:
        try:
            return self._logged_models.get(model)
        except NotFound as error:
            raise bad_source(source, error.message) from error


def _of_model(model: LoggedModel, run: ReportedRun | None, location: str) -> Origin:
    return Origin(location=location, run=run.id if run else model.run, logged_model=model.id)


def _listed(text: str) -> list[object]:
    """Read the list in a tag; what a program wrote there that is none is left behind."""
    if not text:
        return []
    try:
        found: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    return cast("list[object]", found) if isinstance(found, list) else []
