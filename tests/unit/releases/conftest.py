from collections.abc import Callable

import pytest

from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.ports import Stores
from trivet.models.facts import GateOverride, GateVerdict, Input, Model, ModelVersion, Signature
from trivet.releases.service import ReleasesService

SIGNATURE = Signature(
    inputs=(Input(name="x", type="number"),), task="binary", target="y", classes=("0", "1")
)
RegisterModel = Callable[..., Model]


@pytest.fixture
def releases(stores: Stores, scope: Scope) -> ReleasesService:
    return ReleasesService(stores, scope)


@pytest.fixture
def a_model(stores: Stores, scope: Scope) -> RegisterModel:
    """Registers a version as the models room does, with the verdict that it went by."""

    def register(
        version: int = 1,
        *,
        passed: bool = True,
        subject: str | None = None,
        name: str = "delay",
        overruled_by: str = "",
    ) -> Model:
        package = f"b3:{version:064x}"
        verdict = draft(
            GateVerdict(
                model=name, gate="g", subject=subject or package, passed=passed, findings=()
            )
        )
        override = draft(
            GateOverride(
                verdict=verdict.id,
                model=name,
                gate="g",
                subject=package,
                overruled=("quality",),
                by=overruled_by,
                reason="the old one is down",
            )
        )
        fact = ModelVersion(
            name=name,
            version=version,
            package=package,
            size_bytes=1,
            flavour="lightgbm",
            signature=SIGNATURE,
            run=verdict.id,
            verdict=verdict.id,
            override=override.id if overruled_by else None,
        )
        item = draft(fact, parents=[verdict.id])
        head = HeadMove(name=f"model/{name}", to=item.id)
        stores.ledger.commit(scope.batch("register", [verdict, override, item], heads=[head]))
        return Model(id=item.id, version=fact)

    return register
