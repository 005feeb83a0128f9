"""Documents of experiments, reported runs and logged models: what facts make of them."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Document, Search, Value
from trivet.core.facts import Entry, read
from trivet.core.projecting import Known, Projectors, said_ms
from trivet.tracking.reporting.facts import (
    LOST,
    UNDER_WAY,
    WORDS,
    ExperimentChanged,
    ExperimentMade,
    Imported,
    Input,
    RunJoined,
    RunOpened,
    RunReported,
    RunSilent,
    Stage,
)
from trivet.tracking.reporting.logged_facts import LoggedModelChanged, LoggedModelMade
from trivet.tracking.reporting.model_points import LOGGED_MODELS, source_note
from trivet.tracking.reporting.naming import made_up_name

EXPERIMENTS: Final = "experiments"
RUNS: Final = "runs"
NUMBERS: Final = "numbers."
"""Before the name of a parameter: its value as a number."""
_MOST_DIGITS: Final = 100
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
STATUS_BY: Final = "status_by"
"""The note of a run that names the report from elsewhere which said how the run stands."""
IMPRINT: Final = "imported"
"""The note of what was imported: what it was like there, as a digest."""


def group_of(project: str, number: int) -> str:
    """Return the group of documents in which an experiment's runs are."""
    return f"{project}/{number}"


# --------------------------------------------------------------- of what is imported


def origin_of(imported: Imported) -> str:
    """Return the attribute by which an experiment is known that was imported before.

    Its name and the spelling of its store may change; its number and first moment do not.
    """
    return f"{imported.id}@{imported.made_ms}"


def imprinted(imported: Imported | None) -> dict[str, Any]:
    """Return the note of what something was like where it was imported from."""
    return {IMPRINT: imported.imprint} if imported is not None and imported.imprint else {}


def changed_at(name: str, imported: Imported | None, at_ms: int) -> dict[str, Value]:
    """Return the attribute of the last change; what is imported was changed when it was there."""
    if imported is None:
        return {name: at_ms}
    return {name: imported.changed_ms} if imported.changed_ms else {}


# ----------------------------------------------------------------------- experiments


def made_experiment(project: str, fact: str, made: ExperimentMade, at_ms: int) -> Amendment:
    """Make the document of an experiment; an imported one has its old times."""
    told = made.imported
    return Amendment(
        collection=EXPERIMENTS,
        id=group_of(project, made.number),
        group=project,
        set={
            "number": made.number,
            "experiment_id": str(made.number),
            "name": made.name,
            "stage": "active",
            "creation_time": told.made_ms if told else at_ms,
            "last_update_time": told.changed_ms if told else at_ms,
            **({"origin": origin_of(told)} if told else {}),
            **_prefixed("tags.", made.tags),
        },
        note={"fact": fact, "location": made.location, **imprinted(told)},
        expect="new",
    )


def changed_experiment(
    project: str, number: int, changed: ExperimentChanged, at_ms: int
) -> Amendment:
    """Amend the document of an experiment."""
    now: dict[str, Value] = {
        **changed_at("last_update_time", changed.imported, at_ms),
        **_prefixed("tags.", changed.tags),
    }
    if changed.imported is not None:
        now["origin"] = origin_of(changed.imported)
    if changed.made_ms is not None:
        now["creation_time"] = changed.made_ms
    if changed.name is not None:
        now["name"] = changed.name
    if changed.stage is not None:
        now["stage"] = changed.stage
    return Amendment(
        collection=EXPERIMENTS,
        id=group_of(project, number),
        set=now,
        drop=tuple(f"tags.{key}" for key in changed.dropped),
        note=imprinted(changed.imported),
        expect="known",
    )


def staged_runs(runs: Iterable[str], stage: Stage) -> Iterator[Amendment]:
    """Amend the documents of the runs that are put away, or restored, with their experiment."""
    for run in runs:
        yield Amendment(collection=RUNS, id=run, set={"stage": stage}, expect="known")


# ------------------------------------------------------------------------------ runs


def opened_run(group: str, run: str, opened: RunOpened) -> Amendment:
    """Make the document of a run that reports about itself."""
    return Amendment(
        collection=RUNS,
        id=run,
        group=group,
        set={
            "run_id": run,
            "experiment_id": group.rpartition("/")[2],
            "run_name": opened.name,
            "status": "RUNNING",
            "stage": "active",
            "user_id": opened.user,
            "artifact_uri": opened.location,
            "start_time": opened.began_ms,
            **_prefixed("tags.", opened.tags),
        },
        note=imprinted(opened.imported),
        expect="new",
    )


def joined_run(project: str, run: str) -> Amendment:
    """Make the document of a run that began elsewhere."""
    known = RunOpened(experiment="", name=made_up_name(run), user="", began_ms=0, location="")
    return opened_run(group_of(project, 0), run, known)


def silent_run(run: str, *, silent: bool) -> Amendment:
    """Amend the document of a run that is lost, or was and is running again."""
    if silent:
        lost: dict[str, Value] = {"status": WORDS["lost"], LOST: 1}
        return Amendment(collection=RUNS, id=run, set=lost, expect="known")
    return Amendment(
        collection=RUNS, id=run, set={"status": WORDS["running"]}, drop=(LOST,), expect="known"
    )


def reported_run(document: Document, said: RunReported) -> Amendment:
    """Amend the document of a run by what it reported, or what became of it."""
    changed: dict[str, Value] = {
        **_prefixed("tags.", said.tags),
        **as_numbers(said.parameters),
        **_standing(said),
    }
    dropped = [f"tags.{key}" for key in said.dropped]
    notes = imprinted(said.imported)
    if said.status is not None:
        dropped.append(LOST)
        if said.arrival:
            notes[STATUS_BY] = said.arrival
    if said.ended_ms is None and said.status in UNDER_WAY:
        dropped.append("end_time")
    known = {(item.name, item.digest) for item in inputs_of(document)}
    new = _distinct(item for item in said.inputs if (item.name, item.digest) not in known)
    for place, item in enumerate(new, len(known)):
        changed |= {
            f"datasets.{place}.name": item.name,
            f"datasets.{place}.digest": item.digest,
        }
        if item.context:
            changed[f"datasets.{place}.context"] = item.context
    lists = (("inputs", new), ("models_in", said.models_in), ("models_out", said.models_out))
    for name, items in lists:
        if items:
            notes[name] = [*document.notes.get(name, []), *map(msgspec.to_builtins, items)]
    return Amendment(
        collection=RUNS,
        id=document.id,
        set=changed,
        once=_prefixed("params.", said.parameters),
        drop=tuple(dropped),
        note=notes,
        expect="known",
    )


def inputs_of(document: Document) -> tuple[Input, ...]:
    """Return the data sets that a run was given."""
    return msgspec.convert(document.notes.get("inputs", []), tuple[Input, ...])


def _standing(said: RunReported) -> dict[str, Value]:
    changed: dict[str, Value] = {}
    if said.name is not None:
        changed["run_name"] = said.name
    if said.status is not None:
        changed["status"] = WORDS[said.status]
    if said.ended_ms is not None:
        changed["end_time"] = said.ended_ms
    if said.stage is not None:
        changed["stage"] = said.stage
    return changed


def _distinct(inputs: Iterable[Input]) -> Sequence[Input]:
    first: dict[tuple[str, str], Input] = {}
    for item in inputs:
        first.setdefault((item.name, item.digest), item)
    return list(first.values())


def as_numbers(parameters: Mapping[str, str]) -> dict[str, Value]:
    """Return, as attributes, the values of those parameters that are numbers.

    Searches compare and order parameters by them: as texts, 10 stands before 9.
    """
    numbers = {NUMBERS + key: as_number(text) for key, text in parameters.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def as_number(text: str) -> float | None:
    """Return the finite number that a text is, None when it is none."""
    if len(text) > _MOST_DIGITS or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


# --------------------------------------------------------------------- logged models


def made_model(group: str, fact: str, made: LoggedModelMade, actor: str, at_ms: int) -> Amendment:
    """Make the document of a logged model; an imported one has its old times and user.

    Args:
        group: That of its experiment's runs.
        fact: The `logged-model` fact.
        made: What it says.
        actor: Who recorded it.
        at_ms: When.
    """
    model = f"m-{fact}"
    told = made.imported
    attributes: dict[str, Value] = {
        "model_id": model,
        "experiment_id": group.rpartition("/")[2],
        "name": made.name,
        "status": "pending",
        "stage": "active",
        "artifact_location": made.location,
        "creation_timestamp": told.made_ms if told else at_ms,
        "last_updated_timestamp": told.changed_ms if told else at_ms,
        **_prefixed("params.", made.parameters),
        **_prefixed("tags.", made.tags),
    }
    if made.type:
        attributes["model_type"] = made.type
    if made.run:
        attributes["source_run_id"] = made.run
    return Amendment(
        collection=LOGGED_MODELS,
        id=model,
        group=group,
        set=attributes,
        note={"user": told.user if told else actor, **imprinted(told)},
        expect="new",
    )


def changed_model(changed: LoggedModelChanged, at_ms: int) -> Amendment:
    """Amend the document of a logged model."""
    now: dict[str, Value] = {
        **changed_at("last_updated_timestamp", changed.imported, at_ms),
        **_prefixed("tags.", changed.tags),
    }
    if changed.status is not None:
        now["status"] = changed.status
    if changed.stage is not None:
        now["stage"] = changed.stage
    return Amendment(
        collection=LOGGED_MODELS,
        id=changed.model,
        set=now,
        once=_prefixed("params.", changed.parameters),
        drop=tuple(f"tags.{key}" for key in changed.dropped),
        note={**dict(map(source_note, changed.measured)), **imprinted(changed.imported)},
        expect="known",
    )


def _prefixed(prefix: str, values: Mapping[str, str]) -> dict[str, Value]:
    return {f"{prefix}{key}": value for key, value in values.items()}


# -------------------------------------------------------------------------- from facts


def _from_experiment(entry: Entry, known: Known) -> Iterable[Amendment]:
    del known
    made = read(entry, ExperimentMade)
    yield made_experiment(entry.project, entry.id, made, said_ms(made.at_ms, entry))


def _from_change(entry: Entry, known: Known) -> Iterable[Amendment]:
    changed = read(entry, ExperimentChanged)
    made = known.fact(changed.experiment, ExperimentMade)
    if made is None or known.document(EXPERIMENTS, group_of(entry.project, made.number)) is None:
        return
    yield changed_experiment(entry.project, made.number, changed, said_ms(changed.at_ms, entry))
    if changed.stage is not None and changed.imported is None:  # imported runs say it themselves
        wanted = Search(collection=RUNS, groups=(group_of(entry.project, made.number),))
        yield from staged_runs((run.id for run in known.documents(wanted)), changed.stage)


def _from_opened(entry: Entry, known: Known) -> Iterable[Amendment]:
    opened = read(entry, RunOpened)
    group = _home(entry, opened.experiment, known)
    if group is not None:
        yield opened_run(group, entry.id, opened)


def _from_joined(entry: Entry, known: Known) -> Iterable[Amendment]:
    del known
    yield joined_run(entry.project, entry.id)


def _from_silence(entry: Entry, known: Known) -> Iterable[Amendment]:
    said = read(entry, RunSilent)
    if known.document(RUNS, said.run) is not None:
        yield silent_run(said.run, silent=said.silent)


def _from_report(entry: Entry, known: Known) -> Iterable[Amendment]:
    said = read(entry, RunReported)
    document = known.document(RUNS, said.run)
    if document is not None:
        yield reported_run(document, said)


def _from_model(entry: Entry, known: Known) -> Iterable[Amendment]:
    made = read(entry, LoggedModelMade)
    group = _home(entry, made.experiment, known)
    if group is not None:
        yield made_model(group, entry.id, made, entry.actor, said_ms(made.at_ms, entry))


def _from_model_change(entry: Entry, known: Known) -> Iterable[Amendment]:
    changed = read(entry, LoggedModelChanged)
    if known.document(LOGGED_MODELS, changed.model) is not None:
        yield changed_model(changed, said_ms(changed.at_ms, entry))


def _home(entry: Entry, experiment: str, known: Known) -> str | None:
    made = known.fact(experiment, ExperimentMade)
    return None if made is None else group_of(entry.project, made.number)


PROJECTORS: Final[Projectors] = {
    ExperimentMade.KIND: _from_experiment,
    ExperimentChanged.KIND: _from_change,
    RunOpened.KIND: _from_opened,
    RunJoined.KIND: _from_joined,
    RunReported.KIND: _from_report,
    RunSilent.KIND: _from_silence,
    LoggedModelMade.KIND: _from_model,
    LoggedModelChanged.KIND: _from_model_change,
}
