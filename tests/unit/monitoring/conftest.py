from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import lightgbm
import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from trivet.adapters.lightgbm.flavour import LightGBMFlavour
from trivet.core.clock import to_micros
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.ids import new_id
from trivet.core.ports import Stores
from trivet.models.building import build_package
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import GateVerdict, Model, ModelVersion
from trivet.models.holdout import hold_out
from trivet.models.packaging import Package, open_package
from trivet.models.signatures import fit_signature
from trivet.releases.facts import Release
from trivet.serving.facts import LABELS, PREDICTIONS, Label, Prediction
from trivet.serving.records import encode_record
from trivet.testing.memory_stores import MemoryBlobs, memory_stores

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Customers who leave or stay. `harm` sends many more of plan c, who now leave far oftener."""

    seed: int = 0

    def rows(self, day: datetime, count: int, *, harm: bool = False) -> pl.DataFrame:
        random = np.random.default_rng([self.seed, to_micros(day) // 86_400_000_000, harm])
        shares = [0.3, 0.2, 0.5] if harm else [0.6, 0.3, 0.1]
        plan = random.choice(list("abc"), count, p=shares)
        x = random.normal(size=count)
        score = -1 + 1.2 * x + 0.8 * (plan == "b")
        if harm:
            score = np.where(plan == "c", 2.5, score)
        left = random.random(count) < 1 / (1 + np.exp(-score))
        seconds = np.sort(random.integers(0, 86_400, count)).tolist()
        return pl.DataFrame(
            {
                "x": x.round(3),
                "plan": plan,
                "time": [day + timedelta(seconds=s) for s in seconds],
                "left": left,
            }
        )

    def span(self, first: datetime, days: int, per_day: int) -> pl.DataFrame:
        return pl.concat([self.rows(first + n * DAY, per_day) for n in range(days)])


def train(table: pl.DataFrame, *, rounds: int, upside_down: bool = False) -> Candidate:
    signature = fit_signature(table, "left", drop=["time"])
    encoder = Encoder(signature)
    target = encoder.encode_target(table)
    data = lightgbm.Dataset(
        encoder.encode_frame(table),
        1 - target if upside_down else target,
        categorical_feature=list(encoder.categorical),
    )
    options = {"objective": "binary", "num_leaves": 7, "num_threads": 1, "verbose": -1, "seed": 1}
    return Candidate.of(lightgbm.train(options, data, rounds), signature, sample=table)


@dataclass(frozen=True)
class Packages:
    """Three candidates: one that is right, one that is better by little, one upside down."""

    blobs: MemoryBlobs
    good: Package
    better: Package
    wrong: Package


@pytest.fixture(scope="session")
def packages() -> Packages:
    world, blobs = World(7), MemoryBlobs()
    training = world.span(START - 90 * DAY, 50, 60)
    holdout = world.span(START - 40 * DAY, 40, 60)

    def package(candidate: Candidate) -> Package:
        held = hold_out(holdout, candidate.signature, time="time")
        return build_package(blobs, candidate, (LightGBMFlavour(),), requirements=b"", holdout=held)

    return Packages(
        blobs=blobs,
        good=package(train(training, rounds=60)),
        better=package(train(training, rounds=70)),
        wrong=package(train(training, rounds=60, upside_down=True)),
    )


MakeStores = Callable[[], Stores]


@pytest.fixture(scope="session")
def make_stores(packages: Packages) -> MakeStores:
    """Makes empty stores that hold the packages."""

    def make() -> Stores:
        return replace(memory_stores(), blobs=packages.blobs)

    return make


@pytest.fixture
def stores(make_stores: MakeStores) -> Stores:
    return make_stores()


RegisterPackage = Callable[..., Model]


@pytest.fixture
def register(scope: Scope) -> RegisterPackage:
    """Registers a package as the models room does, with the verdict that it went by."""

    def record(stores: Stores, package: Package) -> Model:
        version = len(stores.ledger.find(ModelVersion.KIND).entries) + 1
        verdict = draft(
            GateVerdict(model="left", gate="g", subject=package.digest, passed=True, findings=())
        )
        fact = ModelVersion(
            name="left",
            version=version,
            package=package.digest,
            size_bytes=package.size_bytes,
            flavour="lightgbm",
            signature=package.signature,
            run=verdict.id,
            verdict=verdict.id,
        )
        item = draft(fact, parents=[verdict.id])
        head = HeadMove(name="model/left", to=item.id)
        stores.ledger.commit(scope.batch("register", [verdict, item], heads=[head]))
        return Model(id=item.id, version=fact)

    return record


class Traffic:
    """Writes what serving would have logged: predictions by the release, and their labels."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._packages: dict[str, tuple[Encoder, Package]] = {}

    def answer(self, release: Release, table: pl.DataFrame) -> list[str]:
        """Log predictions of all variants; return the identifiers of the live ones."""
        plan = release.plan
        champion = plan.variants[0]
        canary = next((v for v in plan.variants[1:] if v.role == "live"), None)
        every = round(1 / canary.share) if canary else 0
        outputs = {v.name: self._outputs(v.package, table) for v in plan.variants}
        ids: list[str] = []
        records: list[bytes] = []
        for at, row in enumerate(table.to_dicts()):
            variant = canary if canary and at % every == 0 else champion
            ids.append(new_id())
            inputs = (row["x"], row["plan"])
            common = {
                "time_us": to_micros(row["time"]),
                "endpoint": plan.endpoint,
                "release": release.id,
                "unit": None,
                "event_us": to_micros(row["time"]),
                "inputs": inputs,
                "micros": 100 + at % 50,
            }
            live = Prediction(
                id=ids[-1],
                variant=variant.name,
                role="live",
                assignment="random",
                share=variant.share,
                output=outputs[variant.name][at].tobytes(),
                package=variant.package,
                **common,
            )
            records.append(encode_record(live))
            for shadow in (v for v in plan.variants if v.role == "shadow"):
                doubled = Prediction(
                    id=new_id(),
                    variant=shadow.name,
                    role="shadow",
                    assignment="shadow",
                    share=0.0,
                    output=outputs[shadow.name][at].tobytes(),
                    package=shadow.package,
                    of=ids[-1],
                    **common,
                )
                records.append(encode_record(doubled))
        self._stores.log.append(PREDICTIONS, records)
        return ids

    def label(self, ids: Sequence[str], truths: Sequence[bool], arrived: datetime) -> None:
        records = [
            encode_record(Label(prediction=i, value=float(t), arrived_us=to_micros(arrived)))
            for i, t in zip(ids, truths, strict=True)
        ]
        self._stores.log.append(LABELS, records)

    def day(self, release: Release, table: pl.DataFrame) -> None:
        """Log a day's predictions, and all their labels."""
        ids = self.answer(release, table)
        self.label(ids, table["left"].to_list(), table["time"].max() + timedelta(hours=1))

    def _outputs(self, digest: str, table: pl.DataFrame) -> NDArray[np.float32]:
        if digest not in self._packages:
            package = open_package(self._stores.blobs, digest)
            self._packages[digest] = (Encoder(package.signature), package)
        encoder, package = self._packages[digest]
        return package.session().run(encoder.encode_frame(table))


@pytest.fixture
def make_traffic() -> Callable[[Stores], Traffic]:
    return Traffic


@pytest.fixture
def world() -> World:
    return World()
