"""Sending traces: each keeps its name there, and says of runs and models what they are called."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

import msgspec

from trivet.core.errors import TrivetError, Unavailable
from trivet.core.moving import (
    SPANS_FILE,
    HeldAssessment,
    HeldExperiment,
    HeldFile,
    HeldTrace,
    Holdings,
    Receiver,
)
from trivet.moving.sending_files import FileSending
from trivet.tracking.importing.cleaning import Remarks, digest_of

_AT_ONCE: Final = 4
_PAGE: Final = 64
_RUN: Final = "mlflow.sourceRun"
_MODEL: Final = "mlflow.modelId"
_JUDGED_BY: Final = "mlflow.assessment.sourceRunId"


class Names(msgspec.Struct, frozen=True):
    """What runs and logged models are called there, by what they are called here."""

    runs: Mapping[str, str]
    models: Mapping[str, str]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that is to be sent."""

    held: HeldTrace
    imprint: str
    home: str


class TraceSending:
    """Sends the traces of experiments.

    Args:
        holdings: What is sent.
        receiver: Where it goes.
        names: What others are called there; filled before traces are sent.
        files: Sends their files, and counts.
        remarks: Told what is not sent.
    """

    def __init__(
        self,
        holdings: Holdings,
        receiver: Receiver,
        names: Names,
        files: FileSending,
        remarks: Remarks,
    ) -> None:
        self._holdings = holdings
        self._receiver = receiver
        self._names = names
        self._files = files
        self._counts = files.counts
        self._remarks = remarks
        self._is_refused = False

    def look(self, held: HeldExperiment, home: str | None) -> None:
        """Count what `send` would send; `home` is None for an experiment that is still to be made.

        Raises:
            Unavailable: The other store does not answer.
        """
        sent = {} if home is None and not self._is_refused else self._sent(home or "")
        for _ in self._jobs(held, home or "", sent):
            pass

    def send(self, held: HeldExperiment, home: str, tell: Callable[[], None]) -> None:
        """Send the traces of an experiment that are not there as they are here.

        Args:
            held: The experiment.
            home: What it is called there.
            tell: Called after each trace.

        Raises:
            Unavailable: The other store does not answer.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = self._jobs(held, home, self._sent(home))
            while batch := list(islice(jobs, _PAGE)):
                for _ in pool.map(self._try, batch):
                    tell()

    def _sent(self, home: str) -> dict[str, str | None] | None:
        sent = None if self._is_refused else self._receiver.traces.sent(home)
        self._is_refused = sent is None
        return sent

    def _jobs(
        self, held: HeldExperiment, home: str, sent: Mapping[str, str | None] | None
    ) -> Iterator[Job]:
        for trace in self._holdings.traces(held.id):
            if sent is None:
                self._remarks.note("traces are not sent: the server is older than MLflow 3")
                return
            imprint = digest_of(trace)
            if self._is_to_send(trace, imprint, sent):
                yield Job(held=self._translated(trace), imprint=imprint, home=home)

    def _is_to_send(self, trace: HeldTrace, imprint: str, sent: Mapping[str, str | None]) -> bool:
        """Count a trace as new, changed or the same; say whether it is to be sent."""
        known = sent.get(trace.id, "")
        if known is None or known == imprint:
            if known is None:
                self._remarks.note("a trace stays as it is there: no export brought it there")
            self._counts.traces_same += 1
            return False
        if known:
            self._counts.traces_changed += 1
        else:
            self._counts.traces_new += 1
        return True

    def _try(self, job: Job) -> None:
        try:
            self._send(job)
        except Unavailable:
            raise
        except TrivetError as error:
            self._remarks.note(f"the trace {job.held.id} is not sent: {error.message}")

    def _send(self, job: Job) -> None:
        held, there = job.held, self._receiver.traces
        owner = there.begin(job.home, held)
        self._files.send(owner, held.location, lambda: self._spans_first(held))
        if held.runs and not there.link(held):
            self._remarks.note("traces are not linked to further runs: the server knows no links")
        there.finish(held, job.imprint)

    def _spans_first(self, held: HeldTrace) -> list[HeldFile]:
        files = self._holdings.trace_files(held)
        return sorted(files, key=lambda file: file.path != SPANS_FILE)

    def _translated(self, held: HeldTrace) -> HeldTrace:
        """Return a trace that says of others what they are called there."""
        runs, models = self._names.runs, self._names.models
        return msgspec.structs.replace(
            held,
            metadata=_renamed(_renamed(held.metadata, _RUN, runs), _MODEL, models),
            runs=tuple(runs[run] for run in held.runs if run in runs),
            assessments=tuple(map(self._judged, held.assessments)),
        )

    def _judged(self, one: HeldAssessment) -> HeldAssessment:
        metadata = _renamed(one.metadata, _JUDGED_BY, self._names.runs)
        return msgspec.structs.replace(one, metadata=metadata)


def _renamed(values: dict[str, str], key: str, names: Mapping[str, str]) -> dict[str, str]:
    if key not in values:
        return values
    return {**values, key: names.get(values[key], values[key])}
