"""The workspace object: a folder today, with every room on an attribute."""

import getpass
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from trivet.access.service import AccessService
from trivet.core.clock import Clock, SystemClock
from trivet.core.facts import Scope
from trivet.core.ids import check_name
from trivet.core.ports import Stores
from trivet.moving.service import MovingService
from trivet.pipelines.service import PipelinesService
from trivet.tracking.reporting.buffering import flush_all
from trivet.tracking.service import TrackingService
from trivet.triggers.backfills import BackfillsService
from trivet.workspace import wiring
from trivet.workspace.comparing import Compared, compare_runs
from trivet.workspace.embedded import Opened
from trivet.workspace.mattering import MetricImportance, metric_importance
from trivet.workspace.outbox import tasks_at_end
from trivet.workspace.settings import Settings, find_project, read_settings
from trivet.workspace.stores import open_stores


def open(  # `trivet.open` is how it is read
    folder: str | os.PathLike[str] = ".",
    *,
    project: str | None = None,
    actor: str | None = None,
    clock: Clock | None = None,
) -> "Workspace":
    """Open the workspace of a project folder, or of the nearest project above it.

    Args:
        folder: A folder inside a project (one with a `trivet.toml`).
        project: Another project whose facts are in this folder, one of `ws.access.projects`; the
            folder's own when None.
        actor: In whose name facts are recorded; the operating system's user when None.
        clock: Where rooms that reason about event time get the present from.

    Raises:
        NotFound: There is no project here, or none of this name.

    Example:
        >>> import trivet as tv
        >>> ws = tv.open("./churn")  # doctest: +SKIP
        >>> ws.data.names()  # doctest: +SKIP
        ('customers',)
    """
    project_folder = find_project(Path(folder).resolve())
    settings = read_settings(project_folder)
    if project is not None:
        check_name(project, "project")
    found = Workspace(project_folder, settings, project=project, actor=actor, clock=clock)
    try:
        if project is not None:
            found.access.projects.check(project)
    except BaseException:
        found.close()
        raise
    return found


class Workspace:
    """A project's stores and rooms. Close it, or use it as a context manager.

    Args:
        folder: The project's folder.
        settings: What its `trivet.toml` says.
        project: Whose facts the rooms know; the folder's own project when None.
        actor: In whose name facts are recorded.
        clock: The event clock; the system's when None.
        opened: Stores that are open already, to share them.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        project: str | None = None,
        actor: str | None = None,
        clock: Clock | None = None,
        opened: Opened | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        own = check_name(settings.project, "project")
        self.scope = Scope(project=project or own, actor=actor or _user())
        self.opened = opened or open_stores(folder, settings, actor=self.scope.actor)

    @property
    def stores(self) -> Stores:
        """The stores behind the rooms."""
        return self.opened.stores

    @cached_property
    def access(self) -> AccessService:
        """Tokens and roles."""
        own = Scope(project=self.settings.project, actor=self.scope.actor)
        return AccessService(self.stores, own, self.clock)

    @cached_property
    def data(self) -> "wiring.DataService":
        """Data sets and their versions."""
        return wiring.data_service(self.stores, self.scope)

    @cached_property
    def tracking(self) -> TrackingService:
        """Runs, metrics and notes."""
        return TrackingService(
            self.stores,
            self.scope,
            tasks_at_end=lambda run: tasks_at_end(self.folder, self.scope.project, run),
            libraries=wiring.training_libraries(self.folder),
        )

    @cached_property
    def pipelines(self) -> PipelinesService:
        """Flows and their steps."""
        return wiring.pipelines_service(
            self.stores,
            self.scope,
            self.folder,
            tracking=self.tracking,
            data=self.data,
            workers=self.opened.workers,
        )

    @cached_property
    def moving(self) -> MovingService:
        """Runs that come in from other stores, and go out."""
        return MovingService(self.stores, self.scope, self.clock)

    @cached_property
    def models(self) -> "wiring.ModelsService":
        """Packages, verdicts and the registry."""
        return wiring.models_service(self.stores, self.scope)

    @cached_property
    def releases(self) -> "wiring.ReleasesService":
        """Decisions to serve."""
        return wiring.releases_service(self.stores, self.scope)

    @cached_property
    def serving(self) -> "wiring.ServingService":
        """Predictions, labels, replay and why."""
        return wiring.serving_service(self.stores, self.scope, self.clock)

    @cached_property
    def monitoring(self) -> "wiring.MonitoringService":
        """Windows and alerts."""
        return wiring.monitoring_service(self.stores, self.scope, self.clock)

    @cached_property
    def triggers(self) -> "wiring.TriggersService":
        """Rules that ask for runs."""
        return wiring.triggers_service(
            self.stores, self.scope, self.clock, self.folder, self.settings.triggers.folders
        )

    @cached_property
    def backfills(self) -> BackfillsService:
        """Flows over many partitions."""
        return BackfillsService(self.stores, self.scope)

    def compare(self, *runs: str, metrics: Sequence[str] | None = None) -> Compared:
        """Say what differs between runs of any kind, and between the data they were given.

        Args:
            runs: Identifiers, at least two; differences are those from the first.
            metrics: Whose curves are compared; None: all of more than one point, but those of the
                machine.

        Raises:
            Invalid: There are less than two runs, or more than 50.
            NotFound: One of them does not exist.
        """
        return compare_runs(self.tracking, self.data, runs, metrics)

    def importance(
        self,
        metric: str,
        *,
        filter: str = "",  # noqa: A002  # what everybody calls it
        experiment: str | None = None,
        parameters: Sequence[str] | None = None,
        by_rank: bool = False,
        seed: int = 0,
    ) -> MetricImportance:
        """Say how much parameters mattered for a metric, over runs that ended.

        Args:
            metric: Its name; its latest value counts.
            filter: Which runs; all by default.
            experiment: Only runs of the experiment of this name.
            parameters: Only these; None: all that vary.
            by_rank: Look at the order of the values alone, so that a few extreme ones cannot
                decide.
            seed: Makes the answer repeatable.

        Raises:
            Invalid: The filter means nothing, no run has such a metric or parameter, or there are
                too few runs (code `too-few-trials`) or nothing that varies.
            NotFound: There is no such experiment.
        """
        return metric_importance(
            self.tracking,
            metric,
            filter=filter,
            experiment=experiment,
            parameters=parameters,
            by_rank=by_rank,
            seed=seed,
        )

    def acting_for(self, actor: str) -> "Workspace":
        """Return this workspace in somebody else's name; it shares the open stores."""
        if actor == self.scope.actor:
            return self
        return Workspace(
            self.folder,
            self.settings,
            project=self.scope.project,
            actor=actor,
            clock=self.clock,
            opened=self.opened,
        )

    def close(self) -> None:
        """Make everything buffered durable, and let go of the stores."""
        flush_all()
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container without a passwd entry still has a user number.
        return f"uid-{os.getuid()}"
