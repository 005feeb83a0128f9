"""What this project holds, as holdings: for another store to take."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, Final

from trivet.core.catalog import Compare, Position, Search
from trivet.core.clock import Clock
from trivet.core.errors import Unsupported
from trivet.core.facts import Scope
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldInput,
    HeldMeasure,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldTrace,
    HeldVersion,
)
from trivet.core.points import Points, SeriesKey
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.models.documents import REGISTERED, VERSIONS, to_name, to_version
from trivet.models.facts import Version
from trivet.models.names import head_of
from trivet.models.reading import number_of
from trivet.moving.leaving_traces import HeldTraces
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import WORDS, Input, ReportedRun
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.model_points import LOGGED_MODELS, points_of
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.tracking.shelves import Artifact

_PAGE: Final = 200
_POINTS: Final = 50_000
_ALL: Final = 1 << 62
_OURS: Final = "mlflow-artifacts:/"
_OWNER: Final = re.compile(r"mlflow-artifacts:/[^/]+/(?:models/(m-[^/]+)|([^/]+))/artifacts")


class ProjectHoldings:
    """What a project holds that programs reported.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: For the rooms.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._stores = stores
        self._scope = scope
        metrics = Metrics(stores)
        self._experiments = Experiments(stores, scope, clock)
        self._runs = ReportedRuns(stores, scope, self._experiments, metrics)
        self._models = LoggedModels(stores, scope, self._experiments, metrics, clock)
        self._artifacts = Artifacts(stores, scope)
        self._traces = HeldTraces(stores, scope, self._artifacts)
        self.problems: list[str] = []

    @property
    def name(self) -> str:
        return self._scope.project

    def close(self) -> None:
        """Whoever opened the stores closes them."""

    # ------------------------------------------------------------- experiments, runs

    def experiments(self) -> Iterator[HeldExperiment]:
        after: Position | None = None
        while True:
            found, after = self._experiments.search(after=after, limit=_PAGE)
            for known in found:
                yield HeldExperiment(
                    id=str(known.number),
                    name=known.name,
                    stage=known.stage,
                    made_ms=known.made_ms,
                    changed_ms=known.changed_ms,
                    location=known.location,
                    tags=known.tags,
                )
            if after is None:
                return

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        after: Position | None = None
        while True:
            found, after = self._runs.search([int(experiment)], after=after, limit=_PAGE)
            for run in found:
                yield self._run(run)
            if after is None:
                return

    def _run(self, run: ReportedRun) -> HeldRun:
        return HeldRun(
            id=run.id,
            experiment=str(run.experiment),
            name=run.name,
            user=run.user,
            status=WORDS[run.status],
            stage=run.stage,
            began_ms=run.began_ms,
            ended_ms=run.ended_ms,
            location=run.location,
            parameters=run.parameters,
            tags=run.tags,
            inputs=tuple(map(_input, run.inputs)),
            models_in=tuple(link.model for link in run.models_in),
            models_out=tuple((link.model, link.step) for link in run.models_out),
            keys=tuple(run.metrics),
            imprint=self._imprint(run.id),
        )

    def _imprint(self, run: str) -> str:
        found = self._stores.series.summaries(run)
        points = [(key, summary.count, repr(summary.latest)) for key, summary in found.items()]
        return f"{sorted(points)!r};{self._artifacts.digest(f'run:{run}')}"

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for held in runs:
            for key in self._stores.series.summaries(held.id):
                found = self._stores.series.read(SeriesKey(held.id, key))
                for start in range(0, len(found.steps), _POINTS):
                    part = slice(start, start + _POINTS)
                    yield HeldPoints(
                        held.id,
                        key,
                        Points(
                            array("q", found.steps[part].tolist()),
                            array("q", found.times[part].tolist()),
                            array("d", found.values[part].tolist()),
                        ),
                    )

    # ----------------------------------------------------------------------- models

    def models(self, experiment: str) -> Iterator[HeldModel]:
        group = self._experiments.group_of(int(experiment))
        wanted = Search(collection=LOGGED_MODELS, groups=(group,), limit=_PAGE)
        for document in walk(self._stores.catalog, wanted):
            known = self._models.get(document.id, allow_deleted=True)
            yield HeldModel(
                id=known.id,
                experiment=experiment,
                name=known.name,
                type=known.type,
                status=known.status,
                stage=known.stage,
                run=known.run or "",
                user=known.user,
                location=known.location,
                made_ms=known.made_ms,
                changed_ms=known.changed_ms,
                parameters=known.parameters,
                tags=known.tags,
                measures=tuple(
                    HeldMeasure(
                        key=point.key,
                        value=point.value,
                        step=point.step,
                        time_ms=point.time_ms,
                        run=point.by.run,
                        dataset=point.by.dataset,
                        digest=point.by.digest,
                    )
                    for point in points_of(self._stores, document, _ALL)
                ),
            )

    def names(self) -> Iterator[HeldName]:
        wanted = Search(collection=REGISTERED, groups=(self._scope.project,), limit=_PAGE)
        for document in walk(self._stores.catalog, wanted):
            name = str(document.attributes["name"])
            known = to_name(document, self._aliases(name))
            versions = sorted(self._versions(known.id), key=lambda version: version.number)
            yield HeldName(
                name=name,
                made_ms=known.made_ms,
                changed_ms=known.changed_ms,
                description=known.description,
                tags=known.tags,
                aliases=known.aliases,
                versions=tuple(map(self._version, versions)),
            )

    def _aliases(self, name: str) -> dict[str, int]:
        heads = self._stores.ledger.heads(self._scope.project, f"{head_of(name)}@")
        return {h.name.rpartition("@")[2]: number_of(self._stores, h.target) for h in heads}

    def _versions(self, registered: str) -> Iterator[Version]:
        wanted = Search(
            collection=VERSIONS,
            groups=(self._scope.project,),
            where=Compare("registered", "=", registered),
            limit=_PAGE,
        )
        for document in walk(self._stores.catalog, wanted):
            version = to_version(document)
            if version.is_packaged:
                self.problems.append(f"{version.label} is packaged, and no version of MLflow's")
            else:
                yield version

    def _version(self, version: Version) -> HeldVersion:
        return HeldVersion(
            number=version.number,
            source=version.source,
            made_ms=version.made_ms,
            changed_ms=version.changed_ms,
            user=version.user,
            stage=version.stage,
            location=version.location,
            run=version.run or "",
            run_link=version.run_link or "",
            description=version.description,
            tags=version.tags,
        )

    # ---------------------------------------------------------------- traces, files

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        return self._traces.of(experiment)

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        if not held.location.startswith(_OURS):
            raise _unread(held.location)
        return self._below(owner_of("trace", held.id), "")

    def files(self, location: str) -> Iterable[HeldFile]:
        found = _OWNER.fullmatch(location)
        if found is None:
            raise _unread(location)
        owner = f"model:{found[1]}" if found[1] else f"run:{found[2]}"
        return self._below(owner, "")

    def _below(self, owner: str, folder: str) -> Iterator[HeldFile]:
        for item in self._artifacts.list(owner, folder):
            path = f"{folder}/{item.name}".lstrip("/")
            if item.is_folder:
                yield from self._below(owner, path)
            else:
                artifact = self._artifacts.get(owner, path)
                yield HeldFile(
                    path=path,
                    size_bytes=artifact.size_bytes,
                    open=partial(self._open, artifact),
                )

    def _open(self, artifact: Artifact) -> BinaryIO:
        return self._artifacts.read(artifact)


def _unread(location: str) -> Unsupported:
    scheme = location.partition(":")[0]
    return Unsupported(f"{scheme} storage is not read here", code="remote-artifacts")


def _input(item: Input) -> HeldInput:
    return HeldInput(
        name=item.name,
        digest=item.digest,
        source_type=item.source_type,
        source=item.source,
        schema=item.schema,
        profile=item.profile,
        tags=item.tags,
    )
