"""Runs that programs report while they go: begun by the program, or by the library that trains."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from socket import gethostname
from typing import Final

from trivet.core.catalog import Position
from trivet.core.clock import SystemClock, to_micros
from trivet.core.facts import Scope
from trivet.core.ids import check_id
from trivet.core.ports import Stores
from trivet.core.training import Machine, Reporter
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.autolog.libraries import Libraries, only
from trivet.tracking.autolog.session import Autolog
from trivet.tracking.autolog.telling import Told
from trivet.tracking.code import CodeRecorder
from trivet.tracking.environment import record_environment
from trivet.tracking.finding import Finder
from trivet.tracking.found import FoundRuns, RunFinder
from trivet.tracking.notebook import FILE, executed_cells, source_of_cells
from trivet.tracking.ranks import place_of_process, run_of_job
from trivet.tracking.reporting.buffering import PointBuffer
from trivet.tracking.reporting.experiments import DEFAULT, Experiments
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.keeping import Medium, RunFiles
from trivet.tracking.reporting.live import (
    LiveRun,
    Observe,
    Seen,
    Surroundings,
    entry_of_program,
    texts_of,
    user_of_program,
)
from trivet.tracking.reporting.liveness import Pulse
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import PARENT, Opening, ReportedRuns, check_report
from trivet.tracking.reporting.sampling import Sampler, describe, last_step, seconds_of

_ordinals: Final = count()
"""Numbers the shared runs of this process; all ranks of a training begin them in one order."""


class Programs:
    """The runs of one project that programs report.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        libraries: Training libraries that can report by themselves, and meters of the machine.
    """

    def __init__(self, stores: Stores, scope: Scope, libraries: Libraries) -> None:
        self._stores = stores
        self._scope = scope
        self._libraries = libraries
        self._clock = SystemClock()
        self._code = CodeRecorder(stores.blobs)
        self.experiments = Experiments(stores, scope, self._clock)
        """Places for runs that programs report about themselves."""
        self.reported = ReportedRuns(stores, scope, self.experiments, Metrics(stores))
        """The runs that programs report about themselves."""

    @cached_property
    def _pulse(self) -> Pulse:
        return Pulse(self.reported.liveness.beat)

    @cached_property
    def artifacts(self) -> Artifacts:
        """The files of runs."""
        return Artifacts(self._stores, self._scope)

    @cached_property
    def finder(self) -> RunFinder:
        """The search over all runs, those of flows as well."""
        metrics = self.reported.metrics
        return Finder(self._stores, self._scope, self.experiments, metrics)

    def search(
        self,
        filter: str = "",  # noqa: A002  # what everybody calls it
        *,
        order: str | Sequence[str] = (),
        columns: str | Sequence[str] | None = None,
        experiment: str | None = None,
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundRuns:
        """Find runs, those of flows and those that programs reported; the newest first.

        Args:
            filter: Such as `metrics.loss < 0.2 AND params.lr >= 0.01 AND status = 'succeeded'`.
                See `docs/how-to/tracking.md` for all that can be asked.
            order: Names to order by, each with ASC or DESC behind it when it matters.
            columns: What rows and data frames shall have, such as `metrics.loss`; None: all.
            experiment: Only runs of the experiment of this name.
            after: The `after` of an earlier page of the same search.
            limit: 1 to 1,000,000.

        Raises:
            Invalid: The filter, an order or a column does not follow the grammar, or names what no
                run has (code `unknown-column`).
            NotFound: There is no such experiment.

        Example:
            >>> ws.tracking.search("metrics.auc > 0.9").to_pandas()  # doctest: +SKIP
        """
        return self.finder.find(
            filter,
            order=[order] if isinstance(order, str) else order,
            columns=[columns] if isinstance(columns, str) else columns,
            experiment=experiment,
            after=after,
            limit=limit,
        )

    def begin(
        self,
        experiment: str = DEFAULT,
        *,
        name: str = "",
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
        parent: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        system: bool | float = True,
    ) -> LiveRun:
        """Begin a run that this program reports while it goes.

        Args:
            experiment: The experiment's name; it is made when there is none of it.
            name: How people call the run; made up when empty.
            parameters: Values by name, recorded as text.
            tags: Values by name, recorded as text.
            parent: The run within which it takes place.
            folder: The project's folder, whose sources are stored; None: the current one.
            system: Whether processors, memory, disks, network, graphics processors and energy are
                recorded, every 10 s; or every how many seconds, at least 0.1.

        Raises:
            Invalid: A name or value cannot be recorded, or the experiment is deleted.
            NotFound: There is no such parent.
        """
        every_s = seconds_of(system)
        report = Report(parameters=texts_of(parameters or {}))
        check_report(report)  # before there is a run that nobody would end
        opened = self._open(experiment, name, self._texts(tags, parent))
        if parameters:
            self.reported.report(opened, report)
        observe = partial(self._observe, _root(folder))
        return self._live(opened, self._around(opened, observe, every_s))

    def begin_shared(
        self,
        experiment: str = DEFAULT,
        *,
        name: str = "",
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
        parent: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        system: bool | float = True,
    ) -> LiveRun:
        """Begin one run of all processes of a distributed training, each of which calls this.

        The processes find the run by what their launcher says of the job: torchrun, Slurm, Open
        MPI, or the variable `TRIVET_RUN`. What rank 0 says here is recorded, and its leaving ends
        the run; ranks that their launcher starts again go on with it. Figures of the machine stand
        under `system/rank0/`, `system/rank1/`, … Without a launcher it is like `begin`.

        Args:
            experiment: As in `begin`; the same in all processes.
            name: As in `begin`, and so are the others.
            parameters: See there.
            tags: See there.
            parent: See there.
            folder: See there.
            system: See there.

        Raises:
            Invalid: As `begin`; or nothing tells this job from others (code `no-job`).
            NotFound: There is no such parent.
        """
        place = place_of_process()
        if place.size == 1:
            return self.begin(
                experiment,
                name=name,
                parameters=parameters,
                tags=tags,
                parent=parent,
                folder=folder,
                system=system,
            )
        every_s, label = seconds_of(system), f"rank{place.rank}"
        report = Report(
            name=name or None,
            tags=self._texts(tags, parent),
            parameters=texts_of(parameters or {}),
            status="running",
        )
        check_report(report)
        run = self._open(experiment, "", {}, run_of_job(next(_ordinals)))
        if place.rank:
            return self._joined(run, every_s, label)
        self.reported.report(run, report, gives_signs=True)
        observe = partial(self._observe, _root(folder))
        return self._live(run, self._around(run, observe, every_s, label))

    def join(self, run: str, *, system: bool | float = False) -> LiveRun:
        """Report to a run that another program began, or this one before; leaving does not end it.

        Args:
            run: The run.
            system: As in `begin`; the figures stand under `system/rank1/` for the process that
                its launcher calls rank 1, and under machine and process where nobody says.

        Raises:
            NotFound: There is no such run.
            Invalid: It is deleted.
        """
        every_s = seconds_of(system)
        self._meet(run)
        place = place_of_process()
        label = f"rank{place.rank}" if place.size > 1 else f"{gethostname()}-{os.getpid()}"
        return self._joined(run, every_s, label)

    def resume(self, run: str, *, system: bool | float = True) -> LiveRun:
        """Go on with a run that has ended, failed or was lost; leaving ends it again.

        The next step is the one behind the last that was logged.

        Raises:
            NotFound: There is no such run.
            Invalid: It is deleted.
        """
        every_s = seconds_of(system)
        self._meet(run)
        self.reported.report(run, Report(status="running"), gives_signs=True)
        around = self._around(run, None, every_s)
        return self._live(run, around, first_step=self._last_step(run) + 1)

    def autolog(
        self,
        experiment: str = DEFAULT,
        *,
        libraries: Sequence[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        system: bool | float = True,
    ) -> Autolog:
        """Let training libraries report by themselves: scikit-learn, LightGBM and XGBoost.

        A fit within `with ws.tracking.begin(...)` reports to that run, any other to a run of its
        own. Libraries that are imported later are watched, too. One autolog is on in a process.

        Args:
            experiment: Where runs of their own belong; it is made when there is none of it.
            libraries: Some of `sklearn`, `lightgbm`, `xgboost`; None: all.
            folder: As in `begin`. It is looked at once.
            system: As in `begin`, for runs of their own.

        Returns:
            What stops it: by `stop`, or as a context manager.

        Raises:
            Invalid: A library is not known.

        Example:
            >>> ws.tracking.autolog("churn")  # doctest: +SKIP
            >>> LogisticRegression().fit(x, y)  # a run  # doctest: +SKIP
        """
        every_s = seconds_of(system)
        observe = _once(partial(self._observe, _root(folder)))

        def begin(title: str) -> LiveRun:
            run = self._open(experiment, title, {})
            return self._live(run, self._around(run, observe, every_s))

        return only(Autolog(self._libraries.chosen(libraries), begin, self._known))

    def media(self, run: str, key: str = "") -> tuple[Medium, ...]:
        """Return the images, tables, texts and their kin of a run, by key and step.

        Args:
            run: A run that a program reported.
            key: Only of this key, and those below it.
        """
        return RunFiles(self.artifacts, check_id(run, "run")).media(key)

    # ------------------------------------------------------------------- inside

    def _texts(self, tags: Mapping[str, object] | None, parent: str | None) -> dict[str, str]:
        if parent is not None:
            self._meet(parent)
        return texts_of(tags or {}) | ({PARENT: parent} if parent else {})

    def _meet(self, run: str) -> None:
        """Make sure that a run can be reported to."""
        self.reported.active(check_id(run, "run"))

    def _last_step(self, run: str) -> int:
        """Return the last step that a run's program logged, -1 when it logged none."""
        return last_step(self.reported.metrics.latest(run))

    def _live(self, run: str, around: Surroundings, *, first_step: int = 0) -> LiveRun:
        """Return a run that this process answers for."""
        live = LiveRun(self.reported, run, around, first_step=first_step)
        self._pulse.add(live)
        return live

    def _joined(self, run: str, every_s: float | None, label: str) -> LiveRun:
        return LiveRun(self.reported, run, self._around(run, None, every_s, label), ends=False)

    def _open(self, experiment: str, name: str, tags: dict[str, str], run: str = "") -> str:
        place = self.experiments.ensure(experiment)
        opening = Opening(
            id=run,
            gives_signs=not run,  # of a shared one rank 0 gives them
            experiment=place.number,
            name=name,
            user=user_of_program(),
            began_ms=to_micros(self._clock.now()) // 1000,
            tags=tags,
            location=f"{place.location}/{{run}}/artifacts",
        )
        return self.reported.open(opening).id

    def _around(
        self,
        run: str,
        observe: Observe | None = None,
        every_s: float | None = None,
        label: str = "",
    ) -> Surroundings:
        meters = self._libraries.meters

        def sample(points: PointBuffer) -> Sampler | None:
            return None if every_s is None else Sampler(meters, points, every_s, label)

        return Surroundings(
            append=self._stores.series.append,
            clock=self._clock,
            files=RunFiles(self.artifacts, run),
            callback=self._callback,
            observe=observe,
            sample=sample,
            over=self._pulse.remove,
        )

    def _callback(self, library: str, run: Reporter) -> object:
        return self._libraries.callback(library, Told(run, library, "", self._known))

    def _known(self, run: str) -> Mapping[str, str]:
        return self.reported.get(run).parameters

    def _observe(self, root: Path) -> Seen:
        blobs, entry, cells = self._stores.blobs, entry_of_program(), executed_cells()
        more = {FILE: source_of_cells(cells)} if cells is not None else {}
        code = self._code.record(root, entry, more)
        return code, record_environment(blobs), self._machine

    @cached_property
    def _machine(self) -> Machine:
        return describe(self._libraries.meters())


def _root(folder: str | os.PathLike[str] | None) -> Path:
    """Return a folder as it is meant now: the program may go to another one."""
    root = Path("." if folder is None else folder)
    try:
        return root.absolute()
    except OSError:  # the current folder was removed
        return root


def _once(observe: Callable[[], Seen]) -> Observe:
    """Look once; in a notebook, whose cells become more, each time anew."""
    lock = threading.Lock()
    seen: list[Seen] = []

    def look() -> Seen:
        with lock:
            if not seen or executed_cells() is not None:
                seen[:] = [observe()]
            return seen[0]

    return look
