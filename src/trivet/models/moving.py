"""What goes along when an alias comes to point at a packaged version, whoever moves it."""

import warnings
from typing import Final

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.clock import SystemClock, to_micros
from trivet.core.facts import Scope, TaskNew
from trivet.core.ports import Ledger, Stores
from trivet.models.documents import REGISTERED
from trivet.models.facts import ModelVersion
from trivet.models.names import registered_head
from trivet.models.remarks import DeprecatedModel
from trivet.models.standing import deprecation_of
from trivet.models.telling import News


class Along(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit of the move writes besides."""

    tasks: tuple[TaskNew, ...] = ()
    """They tell web hooks."""
    documents: tuple[Amendment, ...] = ()
    """The name, whose last change this is."""


NOTHING: Final = Along()


def along_alias(stores: Stores, scope: Scope, version: ModelVersion, alias: str) -> Along:
    """Return what the commit of an alias's move writes besides."""
    known = stores.ledger.head(scope.project, registered_head(version.name))
    now = to_micros(SystemClock().now()) // 1000
    touched = () if known is None else (_touched(known.target, now),)
    told = News(stores, scope).of_model_alias(version.name, alias, version.version)
    return Along(tasks=told, documents=touched)


def warn_of_deprecation(ledger: Ledger, project: str, model: str, label: str) -> None:
    """Warn whoever loads, releases or names a version that people advise against."""
    found = deprecation_of(ledger, project, model)
    if found is not None:
        warnings.warn(f"{label} is {found}", DeprecatedModel, stacklevel=3)


def _touched(registered: str, now_ms: int) -> Amendment:
    return Amendment(
        collection=REGISTERED,
        id=registered,
        set={"last_updated_timestamp": now_ms},
        expect="known",
    )
