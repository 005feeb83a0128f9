"""A project in which everything that writes documents happens, by chance."""

import itertools
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.core.clock import SystemClock
from trivet.core.errors import TrivetError
from trivet.core.facts import Scope, draft
from trivet.core.ids import new_id
from trivet.core.outbox import Posted
from trivet.core.ports import Stores
from trivet.models.facts import Model, ModelVersion, Signature
from trivet.models.model_versions import ModelVersions, NewVersion
from trivet.models.names import head_of
from trivet.models.origins import Origins
from trivet.models.registered_models import RegisteredModels
from trivet.models.registry import Registry
from trivet.tracking import documents
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.facts import CodeState, Environment, RunStarted
from trivet.tracking.reporting import liveness
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import Input, ModelLink, Report
from trivet.tracking.reporting.logged_models import LoggedModels, NewModel
from trivet.tracking.reporting.model_points import Subject
from trivet.tracking.reporting.points import Metrics, Point
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.service import TrackingService
from trivet.tracking.traces.assessments import Assessments
from trivet.tracking.traces.facts import Assessment, TraceReport
from trivet.tracking.traces.service import Traces
from trivet.tracking.webhooks.facts import WebhookChange
from trivet.tracking.webhooks.service import Webhooks

CODE = CodeState(tree="b3:" + "0" * 64, entry="pipeline:train")
MACHINE = Environment(
    lock="b3:" + "1" * 64, packages=1, python="3.11", platform="linux", processors=1,
    memory_bytes=1,
)  # fmt: skip


class _Anywhere:
    def check(self, url: str) -> None:
        del url

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Posted:
        raise NotImplementedError


class Project:
    """Everything that writes documents, driven by chance."""

    def __init__(self, stores: Stores, seed: int, project: str = "flights") -> None:
        self.random = random.Random(seed)
        self.stores = stores
        self.scope = Scope(project=project, actor="ada")
        clock, self.points = SystemClock(), Metrics(stores)
        self.files = Artifacts(stores, self.scope)
        self.experiments = Experiments(stores, self.scope, clock)
        self.runs = ReportedRuns(stores, self.scope, self.experiments, self.points)
        self.logged = LoggedModels(stores, self.scope, self.experiments, self.points, clock)
        self.names = RegisteredModels(
            stores,
            self.scope,
            clock,
            served_by=lambda _: None,
        )
        origins = Origins(stores, self.scope, self.runs, self.logged)
        self.versions = ModelVersions(stores, self.scope, self.names, origins)
        self.traces = Traces(stores, self.scope, self.experiments, self.files)
        self.said = Assessments(self.traces, clock)
        self.hooks = Webhooks(stores, self.scope, clock, _Anywhere())
        self.tracking = TrackingService(stores, Scope(project=project, actor="eve"))
        self.ids: dict[str, list[Any]] = {}
        self.count = itertools.count()

    def some(self, what: str) -> Any:
        return self.random.choice(self.ids[what])

    def made(self, what: str, one: Any) -> Any:
        self.ids.setdefault(what, []).append(one)
        return one

    def live(self, steps: int) -> "Project":
        """Do so many things by chance; those that cannot be done are not."""
        deeds = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        for _ in range(steps):
            try:
                self.random.choice(deeds)()
            except (TrivetError, KeyError, IndexError):
                continue
        self.points.catch_up()
        return self

    def number(self) -> int:
        return self.random.choice([0, *self.ids.get("experiment", [])])

    def word(self) -> str:
        return self.random.choice(["a", "b", "ü/c", "d e"])

    def do_experiment(self) -> None:
        made = self.experiments.make(f"e{next(self.count)}", tags={self.word(): self.word()})
        self.made("experiment", made.number)

    def do_change_experiment(self) -> None:
        number = self.number()
        self.random.choice(
            [
                lambda: self.experiments.rename(number, f"e{next(self.count)}"),
                lambda: self.experiments.delete(number),
                lambda: self.experiments.restore(number),
                lambda: self.experiments.tag(number, self.word(), self.word()),
                lambda: self.experiments.untag(number, self.word()),
            ]
        )()

    def do_run(self) -> None:
        run = self.runs.open(
            Opening(
                experiment=self.number(),
                user="bo",
                began_ms=self.random.randrange(10**12),
                tags={self.word(): self.word()},
                location="mlflow-artifacts:/0/{run}/artifacts",
            )
        )
        self.made("run", run.id)

    do_another_run = do_run

    def do_join(self) -> None:
        self.runs.stand_in(self.made("run", new_id()))

    def do_arrival(self) -> None:
        status = self.random.choice([None, "running", "succeeded"])
        self.runs.report(
            self.some("run"),
            Report(status=status, tags={self.word(): "there"}),
            arrival=f"{self.random.randrange(100):03d}-{next(self.count)}",
            gives_signs=self.random.random() < 0.5,
        )

    def do_silence(self) -> None:
        before, liveness.LOST_AFTER_S = liveness.LOST_AFTER_S, -1.0
        try:
            self.runs.liveness.settle()
        finally:
            liveness.LOST_AFTER_S = before

    def do_sign(self) -> None:
        self.runs.liveness.beat(self.some("run"))

    def do_report(self) -> None:
        run = self.some("run")
        inputs = tuple(
            Input(name=self.word(), digest=self.word(), tags={"mlflow.data.context": "train"})
            for _ in range(self.random.randrange(3))
        )
        self.runs.report(
            run,
            Report(
                parameters={self.word(): "1"},
                tags={self.word(): str(next(self.count))},
                dropped=(f"x{self.word()}",),
                inputs=inputs,
                models_in=(ModelLink(model="m-1", step=3),),
                name=self.random.choice([None, "other"]),
                status=self.random.choice([None, "succeeded", "failed"]),
                ended_ms=self.random.choice([None, 7]),
            ),
        )

    def do_move_run(self) -> None:
        run = self.some("run")
        self.random.choice([self.runs.delete, self.runs.restore, self.untag])(run)

    def untag(self, run: str) -> None:
        self.runs.untag(run, self.word())

    def do_points(self) -> None:
        run = self.some("run")
        model = self.random.choice([None, *self.ids.get("logged", [])])
        about = Subject(model, self.random.choice(["", "iris"]), "d") if model else None
        value = self.random.choice([1.5, float("nan"), float("-inf"), self.random.random()])
        points = [Point(self.word(), value, 5, self.random.randrange(9), about)]
        self.logged.prepare(run, points)
        self.points.log(run, points)
        if self.random.random() < 0.3:
            self.points.catch_up()

    def do_logged_model(self) -> None:
        run = self.random.choice(["", *self.ids.get("run", [])])
        new = NewModel(
            experiment=self.number(), type="t", run=run, parameters={"p": "1"}, tags={"t": "1"}
        )
        self.made("logged", self.logged.make(new).id)

    def do_change_logged_model(self) -> None:
        model = self.some("logged")
        self.random.choice(
            [
                lambda: self.logged.finish(model, "ready"),
                lambda: self.logged.tag(model, {self.word(): self.word()}),
                lambda: self.logged.untag(model, self.word()),
                lambda: self.logged.describe(model, {self.word(): "2"}),
                lambda: self.logged.delete(model),
            ]
        )()

    def do_name(self) -> None:
        name = f"n{self.random.randrange(4)}"
        made = self.names.make(name, description=None, tags={self.word(): self.word()})
        self.made("name", made.name)

    def do_version(self) -> None:
        name = self.some("name")
        run, model = self.some("run"), self.random.choice([None, *self.ids.get("logged", [])])
        source = f"models:/{model}" if model else f"runs:/{run}/model"
        new = NewVersion(source=source, description="d", tags={"t": "1"}, mention="listed")
        self.made("version", (name, self.versions.make(name, new).number))

    do_another_version = do_version

    def do_package(self) -> None:
        """As the registry enters a package, without training one."""
        name = self.random.choice(["n0", "packed"])
        number = next(self.count) + 1000
        version = ModelVersion(
            name=name, version=number, package="b3:" + "2" * 64, size_bytes=1, flavour="f",
            signature=Signature(inputs=(), task="binary", target="y"),
            run="0" * 32, verdict="0" * 32, at_ms=1000 + number,
        )  # fmt: skip
        item = draft(version)
        head = self.stores.ledger.head(self.scope.project, head_of(name))
        registry = Registry(self.stores, self.scope)
        model = Model(id=item.id, version=version)
        registry._enter("x", item, model, head.target if head else None, None)  # pyright: ignore[reportPrivateUsage]  # what it does once its checks have passed
        self.made("name", name)
        self.made("version", (name, number))

    def do_change_name(self) -> None:
        name = self.some("name")
        self.random.choice(
            [
                lambda: self.names.describe(name, self.word()),
                lambda: self.names.tag(name, self.word(), self.word()),
                lambda: self.names.untag(name, self.word()),
                lambda: self.made("name", self.names.rename(name, f"r{next(self.count)}").name),
                lambda: self.names.drop_alias(name, "best"),
                lambda: self.names.delete(name),
            ]
        )()

    def do_change_version(self) -> None:
        name, number = self.some("version")
        self.random.choice(
            [
                lambda: self.versions.describe(name, number, self.word()),
                lambda: self.versions.tag(name, number, self.word(), self.word()),
                lambda: self.versions.untag(name, number, self.word()),
                lambda: self.versions.move(name, number, "Production", archive=True),
                lambda: self.names.set_alias(name, "best", number),
                lambda: self.versions.delete(name, number),
            ]
        )()

    def do_trace(self) -> None:
        trace = self.made("trace", f"tr-{self.random.randrange(12)}")
        said = [self.assessment()] if self.random.random() < 0.5 else []
        report = TraceReport(
            began_ms=self.random.choice([None, 1000]),
            duration_ms=self.random.choice([None, 20]),
            state=self.random.choice([None, "succeeded"]),
            run=self.random.choice([None, *self.ids.get("run", [])]),
            request=self.random.choice([None, "why?"]),
            tags={self.word(): str(next(self.count))},
            metadata={"m": self.word()},
        )
        self.traces.put(trace, self.number(), report, said)

    def assessment(self) -> Assessment:
        value = self.random.choice([True, 0.5, "good", {"a": 1}])
        number = next(self.count)
        return Assessment(
            id=f"a-{number}", name=self.word(), kind="feedback", value=value, made_ms=number,
            changed_ms=number,
        )  # fmt: skip

    def do_change_trace(self) -> None:
        trace = self.some("trace")
        said = self.traces.get(trace).assessments
        one = self.random.choice(said).id if said else ""
        overriding = msgspec.structs.replace(self.assessment(), overrides=one)
        self.random.choice(
            [
                lambda: self.traces.untag(trace, self.word(), name="called"),
                lambda: self.traces.link([trace], self.some("run")),
                lambda: self.said.make(trace, overriding),
                lambda: self.said.change(trace, one, {"value": self.word()}),
                lambda: self.said.withdraw(trace, one),
                lambda: self.traces.delete(self.number(), traces=[trace]),
            ]
        )()

    def do_hook(self) -> None:
        change = WebhookChange(
            name=f"hook{next(self.count)}", url="https://hooks.example.com/secret",
            events=self.random.choice([("run.created",), ("registered_model.created",)]),
            secret=self.random.choice([None, "psst"]),
        )  # fmt: skip
        if self.ids.get("hook") and self.random.random() < 0.6:
            self.hooks.change(self.some("hook"), change)
        else:
            self.made("hook", self.hooks.make(change).id)

    def do_unhook(self) -> None:
        self.hooks.delete(self.some("hook"))

    def do_flow(self) -> None:
        started = RunStarted(name="train", parameters={"n": 3}, code=CODE, environment=MACHINE)
        fact = draft(started)
        scope = self.scope
        document = documents.begun(fact.id, started, project=scope.project, actor=scope.actor)
        self.stores.ledger.commit(scope.batch("run", [fact], documents=[document]))
        self.made("flow", fact.id)

    def do_flow_point(self) -> None:
        self.tracking.log(self.some("flow"), {self.word(): self.random.random()})

    def do_flow_end(self) -> None:
        self.tracking.finish(self.some("flow"), "succeeded", metrics={self.word(): 0.5})
