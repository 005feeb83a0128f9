import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.testing.memory_stores import memory_stores


@pytest.fixture
def stores() -> Stores:
    return memory_stores()


@pytest.fixture
def scope() -> Scope:
    return Scope(project="flights", actor="ada")
