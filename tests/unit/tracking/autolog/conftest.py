"""Libraries that report by themselves, as users meet them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.autolog.session import Autolog
from trivet.tracking.reporting.facts import ReportedRun
from trivet.tracking.service import TrackingService
from trivet.workspace.wiring import training_libraries


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    libraries = training_libraries(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"), libraries=libraries)


@pytest.fixture
def autolog(tracking: TrackingService) -> Iterator[Autolog]:
    with tracking.autolog("auto", system=False) as on:
        yield on


@pytest.fixture
def told(tracking: TrackingService) -> Callable[[], list[ReportedRun]]:
    """The runs that were recorded, the oldest first."""

    def find() -> list[ReportedRun]:
        if not any(each.name == "auto" for each in tracking.experiments.search()[0]):
            return []
        number = tracking.experiments.by_name("auto").number
        found, _ = tracking.reported.search([number])
        return [tracking.reported.get(run.id) for run in reversed(found)]

    return find


@pytest.fixture
def rows() -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4))
    return x, (x[:, 0] + random.normal(size=200) > 0).astype(int)
