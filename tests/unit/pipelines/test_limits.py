"""Concurrency limits by name, when the process that holds a slot does not run."""

import time

import pytest

from trivet.core.ports import Stores
from trivet.pipelines import limits
from trivet.pipelines.limits import Limits

SLOT = "limit/shop/gpu/0"


@pytest.fixture
def held(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits of a process that is stopped: nobody prolongs a lease, and it is over at once."""
    monkeypatch.setattr(limits, "_LEASE_S", 0.01)
    monkeypatch.setattr(limits._Slot, "keep", lambda *_: None)
    return Limits(stores.journal, "shop")


def take_over(stores: Stores) -> None:
    while stores.journal.lease(SLOT, owner="another", lease_s=60) is None:
        time.sleep(0.005)


@pytest.mark.parametrize("is_over", [True, False])
def test_a_slot_that_another_took_meanwhile_is_told_of(
    held: Limits, stores: Stores, is_over: bool
) -> None:
    told: list[str] = []
    with held.within({"gpu": 1}, told.append):
        take_over(stores)
        if is_over:
            stores.journal.lease(SLOT, owner="another", lease_s=0)
        assert told == []
    (text,) = told
    assert "limit 'gpu' was exceeded" in text


def test_a_slot_that_nobody_took_is_no_trouble(held: Limits) -> None:
    told: list[str] = []
    with held.within({"gpu": 1}, told.append):
        time.sleep(0.05)
    assert told == []
