from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import lightgbm
import numpy as np
import polars as pl
import pytest
from tests.unit.models.doors import Registry, registry_of

from trivet.adapters.lightgbm.flavour import LightGBMFlavour
from trivet.adapters.sklearn.flavour import SklearnFlavour
from trivet.core.facts import Scope, draft
from trivet.core.ports import Flavour, Stores, TableVersion
from trivet.data.facts import DataCommit
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature
from trivet.models.service import ModelsService
from trivet.models.signatures import fit_signature
from trivet.tracking import documents
from trivet.tracking.facts import CodeState, Environment, Run, RunStarted, RunStatus
from trivet.tracking.service import TrackingService

FLAVOURS: tuple[Flavour, ...] = (LightGBMFlavour(), SklearnFlavour())
LOCK = b"lightgbm==4.7.0\n"


def parcels(rows: int, seed: int, start: datetime) -> pl.DataFrame:
    """Parcels that arrive late or not: heavier, further, in one of two bad depots."""
    random = np.random.default_rng(seed)
    depot = random.choice(list("abcdef"), rows)
    table = pl.DataFrame(
        {
            "weight": random.gamma(2.0, 2.0, rows).round(1),
            "distance": random.integers(1, 900, rows),
            "depot": depot,
            "express": random.random(rows) < 0.3,
            "sent": [start + timedelta(minutes=5 * at) for at in range(rows)],
        }
    )
    score = (
        0.3 * table["weight"].to_numpy()
        + 0.003 * table["distance"].to_numpy()
        + 1.0 * np.isin(depot, ["a", "c"])
        - 1.0 * table["express"].to_numpy()
        - 2.5
    )
    late = random.random(rows) < 1 / (1 + np.exp(-score))
    hours = 20 + 5 * score + random.normal(size=rows)
    gaps = pl.Series(random.random(rows) < 0.05)
    return table.with_columns(
        weight=pl.when(gaps).then(None).otherwise(pl.col("weight")),
        late=pl.Series(late),
        hours=pl.Series(hours),
    )


@dataclass(frozen=True)
class Trained:
    """A candidate with the tables behind it."""

    candidate: Candidate
    training: pl.DataFrame
    holdout: pl.DataFrame

    @property
    def signature(self) -> Signature:
        return self.candidate.signature


def boost(table: pl.DataFrame, signature: Signature, rounds: int = 40, seed: int = 1) -> Candidate:
    encoder = Encoder(signature)
    parameters = {
        "objective": signature.task,
        "num_leaves": 15,
        "num_threads": 1,
        "verbose": -1,
        "seed": seed,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "deterministic": True,
    }
    if signature.task == "multiclass":
        parameters["num_class"] = len(signature.classes)
    data = lightgbm.Dataset(
        encoder.encode_frame(table),
        encoder.encode_target(table),
        categorical_feature=list(encoder.categorical),
    )
    model = lightgbm.train(parameters, data, rounds)
    return Candidate.of(model, signature, sample=table)


@pytest.fixture(scope="session")
def training() -> pl.DataFrame:
    return parcels(6000, 1, datetime(2024, 1, 1))  # noqa: DTZ001  # as a file has them


@pytest.fixture(scope="session")
def holdout() -> pl.DataFrame:
    return parcels(4000, 2, datetime(2024, 2, 1))  # noqa: DTZ001  # as a file has them


@pytest.fixture(scope="session")
def trained(training: pl.DataFrame, holdout: pl.DataFrame) -> Trained:
    signature = fit_signature(training, "late", drop=["hours", "sent"], unknown="missing")
    return Trained(boost(training, signature), training, holdout)


@pytest.fixture(scope="session")
def weak(training: pl.DataFrame, holdout: pl.DataFrame) -> Trained:
    """The same question from one input alone."""
    drop = ["hours", "sent", "weight", "depot", "express"]
    signature = fit_signature(training, "late", drop=drop)
    return Trained(boost(training, signature, rounds=5), training, holdout)


@pytest.fixture(scope="session")
def timed(training: pl.DataFrame, holdout: pl.DataFrame) -> Trained:
    """A regression: the hours a parcel takes."""
    signature = fit_signature(training, "hours", drop=["late", "sent"])
    return Trained(boost(training, signature), training, holdout)


@pytest.fixture(scope="session")
def flavours() -> tuple[Flavour, ...]:
    return FLAVOURS


@pytest.fixture
def scope() -> Scope:
    return Scope(project="parcels", actor="ada")


@pytest.fixture
def service(stores: Stores, scope: Scope) -> ModelsService:
    return ModelsService(stores, scope, FLAVOURS)


MakeRun = Callable[..., Run]


@pytest.fixture
def a_run(stores: Stores, scope: Scope, training: pl.DataFrame) -> MakeRun:
    """Records a run as the tracking room does: with data, code and lock unless told otherwise."""

    def make(
        *, status: RunStatus = "succeeded", data: bool = True, code: bool = True, lock: bytes = LOCK
    ) -> Run:
        commit = draft(
            DataCommit(
                dataset="parcels",
                source="a test",
                tables=(
                    TableVersion(
                        name="parcels.parcels.main",
                        version=0,
                        digest="b3:" + "0" * 64,
                        rows=training.height,
                        size_bytes=1,
                        columns={
                            "weight": "double",
                            "distance": "int64",
                            "depot": "string",
                            "express": "bool",
                            "sent": "timestamp[us]",
                            "late": "bool",
                            "hours": "double",
                        },
                    ),
                ),
            )
        )
        started = RunStarted(
            name="train",
            code=CodeState(
                tree=stores.blobs.put(b"a tree") if code else "b3:" + "f" * 64, entry="flows:train"
            ),
            environment=Environment(
                lock=stores.blobs.put(lock),
                packages=1,
                python="3.11",
                platform="here",
                processors=2,
                memory_bytes=1,
            ),
            data=(commit.id,) if data else (),
        )
        begun = draft(started, parents=[commit.id] if data else [])
        row = documents.begun(begun.id, started, project=scope.project, actor=scope.actor)
        stores.ledger.commit(scope.batch("a run", [commit, begun], documents=[row]))
        run = Run(id=begun.id, started=started)
        if status == "running":
            return run
        return TrackingService(stores, scope).finish(run.id, status)

    return make


@pytest.fixture
def registry(
    stores: Stores, scope: Scope, service: ModelsService, a_run: MakeRun, trained: Trained
) -> Registry:
    """Both doors to the registry, in Ada's name."""
    run = a_run()
    return registry_of(stores, scope, service.package(trained.candidate, run=run), run)
