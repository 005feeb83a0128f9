from dataclasses import dataclass
from typing import Any

import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores


@dataclass(frozen=True)
class Place:
    stores: Stores
    scope: Scope


@pytest.fixture
def place(project: Any) -> Place:
    return Place(project.stores, project.scope)
