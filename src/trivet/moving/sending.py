"""Sending what is held here to another store.

Runs are begun first, all of them, each with a tag that says which run it is: so no run is sent
twice, and what runs say of each other can be said in the words of there. Then all that belongs to a
run is sent, and last a tag by which the next export knows that nothing is missing. Traces follow,
when the runs that they belong to have their names.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

import msgspec

from trivet.core.errors import NotFound, TrivetError, Unavailable
from trivet.core.moving import (
    HeldExperiment,
    HeldModel,
    HeldName,
    HeldRun,
    HeldVersion,
    Holdings,
    Receiver,
    Sent,
)
from trivet.moving.facts import Counts, Left, Moved
from trivet.moving.sending_files import FileSending
from trivet.moving.sending_traces import Names, TraceSending
from trivet.tracking.importing.cleaning import Remarks, digest_of
from trivet.tracking.reporting.runs import PARENT

_AT_ONCE: Final = 4
_PAGE: Final = 64
_IN_RUN: Final = re.compile(r"/([0-9a-f]{32})/artifacts(/.*)?$")
_IN_MODEL: Final = re.compile(r"/models/(m-[0-9a-f]{32})/artifacts(/.*)?$")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be sent."""

    held: HeldRun
    run: str
    """What it is called there."""
    imprint: str
    again: bool
    """Some of it may be there."""


class Sending:
    """One export.

    Args:
        holdings: What is sent.
        receiver: Where it goes.
        experiments: Only those of these names; all when empty.
        is_dry: Only say what there is to send.
        tell: Told how far it is, after each run.
    """

    def __init__(
        self,
        holdings: Holdings,
        receiver: Receiver,
        experiments: tuple[str, ...],
        *,
        is_dry: bool,
        tell: Callable[[Counts], None],
    ) -> None:
        self._holdings = holdings
        self._receiver = receiver
        self._names = experiments
        self._is_dry = is_dry
        self._tell = tell
        self._counts = Counts()
        self._remarks = Remarks()
        self._left: list[Left] = []
        self._runs: dict[str, str] = {}
        self._models: dict[str, str] = {}
        self._files = FileSending(receiver, self._counts, self._left)
        self._traces = TraceSending(
            holdings, receiver, Names(self._runs, self._models), self._files, self._remarks
        )
        self._homes: dict[str, str] = {}

    def send(self) -> Moved:
        """Send everything that is wished for.

        Raises:
            NotFound: There is no experiment of a name that was asked for.
            Unavailable: The other store does not answer.
        """
        wanted = list(self._wanted())
        self._counts.experiments = len(wanted)
        if self._is_dry:
            self._look(wanted)
        else:
            self._send_all(wanted)
        for problem in self._holdings.problems:
            self._remarks.note(problem)
        return Moved(
            source=self._holdings.name,
            target=self._receiver.name,
            is_dry=self._is_dry,
            counts=self._counts,
            left=tuple(self._left),
            remarks=self._remarks.texts(),
        )

    def _wanted(self) -> Iterator[HeldExperiment]:
        missing = set(self._names)
        for held in self._holdings.experiments():
            if not self._names or held.name in self._names:
                missing.discard(held.name)
                yield held
        if missing:
            raise NotFound(
                f"there is no experiment named {', '.join(sorted(missing))}",
                code="no-experiment",
                hint="Leave --experiment out to send all of them.",
            )

    def _send_all(self, wanted: Sequence[HeldExperiment]) -> None:
        sent: dict[str, Sent] = {}
        for held in wanted:
            sent |= self._begin(held)
        for held in wanted:
            self._send_models(held)
        for held in wanted:
            self._send_runs(held, sent)
            self._traces.send(held, self._homes[held.id], lambda: self._tell(self._counts))
            self._receiver.settle(self._homes[held.id], held)
        self._send_names()

    def _look(self, wanted: Sequence[HeldExperiment]) -> None:
        """Count what `_send_all` would send; what is not there yet is called what it is here."""
        for held in wanted:
            home = self._receiver.find(held)
            sent = {} if home is None else self._receiver.sent(home)
            for run in self._holdings.runs(held.id):
                self._runs[run.id] = sent[run.id].id if run.id in sent else run.id
                self._is_to_send(run, digest_of(run), sent.get(run.id))
            for model in self._holdings.models(held.id):
                self._models[model.id] = model.id
                self._counts.logged_models += 1
            self._traces.look(held, home)
        for name in self._names_to_send():
            self._counts.versions += self._receiver.missing(name)
            self._counts.registered_models += 1

    # ------------------------------------------------------------------------- runs

    def _begin(self, held: HeldExperiment) -> dict[str, Sent]:
        """Begin the runs of an experiment that are not there; return those that were."""
        home = self._homes[held.id] = self._receiver.experiment(held)
        sent = self._receiver.sent(home)
        for run in self._holdings.runs(held.id):
            known = sent.get(run.id)
            self._runs[run.id] = known.id if known else self._receiver.begin(home, run)
        return sent

    def _send_runs(self, held: HeldExperiment, sent: dict[str, Sent]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = self._jobs(held, sent)
            while batch := list(islice(jobs, _PAGE)):
                for points in pool.map(self._send, batch):
                    self._counts.points += points
                    self._tell(self._counts)

    def _jobs(self, held: HeldExperiment, sent: dict[str, Sent]) -> Iterator[Job]:
        for run in self._holdings.runs(held.id):
            there = self._runs.get(run.id)
            if there is None:
                continue  # begun here while the export goes on: the next one sends it
            known, imprint = sent.get(run.id), digest_of(run)
            if self._is_to_send(run, imprint, known):
                yield Job(held=run, run=there, imprint=imprint, again=known is not None)

    def _is_to_send(self, run: HeldRun, imprint: str, known: Sent | None) -> bool:
        """Count a run as new, changed or the same; say whether it is to be sent."""
        if known is not None and known.imprint == imprint and known.stage == run.stage:
            self._counts.runs_same += 1
            return False
        if known is not None and known.imprint:
            self._counts.runs_changed += 1
        else:
            self._counts.runs_new += 1
        return True

    def _send(self, job: Job) -> int:
        held = self._translated(job.held)
        points = self._receiver.report(
            job.run, held, self._holdings.points([job.held]), again=job.again
        )
        self._send_files(job.run, job.held.location)
        self._receiver.finish(job.run, held, job.imprint)
        return points

    def _send_files(self, owner: str, location: str) -> None:
        if location:
            self._files.send(owner, location, lambda: self._holdings.files(location))

    def _translated(self, held: HeldRun) -> HeldRun:
        """Return a run that says of others what they are called there."""
        tags = dict(held.tags)
        if PARENT in tags:
            tags[PARENT] = self._runs.get(tags[PARENT], tags[PARENT])
        return msgspec.structs.replace(
            held,
            tags=tags,
            models_in=tuple(self._models[m] for m in held.models_in if m in self._models),
            models_out=tuple(
                (self._models[model], step)
                for model, step in held.models_out
                if model in self._models
            ),
        )

    # ----------------------------------------------------------------------- models

    def _send_models(self, held: HeldExperiment) -> None:
        for model in self._holdings.models(held.id):
            there = self._receiver.model(self._homes[held.id], self._translated_model(model))
            if there is None:
                self._remarks.note("logged models are not sent: the server knows none")
                return
            self._models[model.id] = there
            self._counts.logged_models += 1
            if model.stage == "active":
                self._send_files(there, model.location)

    def _translated_model(self, held: HeldModel) -> HeldModel:
        measures = tuple(
            msgspec.structs.replace(each, run=self._runs[each.run])
            for each in held.measures
            if each.run in self._runs
        )
        return msgspec.structs.replace(held, run=self._runs.get(held.run, ""), measures=measures)

    def _send_names(self) -> None:
        for name in self._names_to_send():
            try:
                self._counts.versions += self._receiver.register(name)
                self._counts.registered_models += 1
            except Unavailable:
                raise
            except TrivetError as error:
                self._remarks.note(f"{name.name} is not registered there: {error.message}")

    def _names_to_send(self) -> Iterator[HeldName]:
        for held in self._holdings.names():
            versions = tuple(filter(None, map(self._translated_version, held.versions)))
            if versions or not self._names:
                yield msgspec.structs.replace(held, versions=versions)

    def _translated_version(self, held: HeldVersion) -> HeldVersion | None:
        """Return a version whose files are those of a run or model of there."""
        if found := _IN_MODEL.search(held.location):
            model = self._models.get(found[1])
            location = f"models:/{model}" if model else ""
        elif found := _IN_RUN.search(held.location):
            run = self._runs.get(found[1])
            location = f"runs:/{run}{found[2] or ''}" if run else ""
        else:
            location = held.location or held.source
        if not location or (self._names and location == held.location):
            return None
        return msgspec.structs.replace(held, location=location, run=self._runs.get(held.run, ""))
