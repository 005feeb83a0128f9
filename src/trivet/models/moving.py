"""What goes along when an alias comes to point at a packaged version, whoever moves it."""

import warnings
from typing import Final

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.clock import SystemClock, to_micros
from trivet.core.facts import Draft, Scope, TaskNew, draft
from trivet.core.ports import Ledger, Stores
from trivet.models.amending import touched_name
from trivet.models.facts import AliasChanged, ModelVersion
from trivet.models.names import registered_head
from trivet.models.remarks import DeprecatedModel
from trivet.models.standing import deprecation_of
from trivet.models.telling import News


class Along(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit of the move writes besides."""

    facts: tuple[Draft, ...] = ()
    tasks: tuple[TaskNew, ...] = ()
    """They tell web hooks."""
    documents: tuple[Amendment, ...] = ()
    """The name, whose last change this is."""


NOTHING: Final = Along()


def along_alias(
    stores: Stores, scope: Scope, model: str, version: ModelVersion, alias: str
) -> Along:
    """Return what the commit of an alias's move writes besides.

    Args:
        stores: Where the registry is.
        scope: Project and actor.
        model: The version that the alias shall point at, by its fact.
        version: What it is.
        alias: The alias.
    """
    told = News(stores, scope).of_model_alias(version.name, alias, version.version)
    known = stores.ledger.head(scope.project, registered_head(version.name))
    if known is None:
        return Along(tasks=told)
    now = to_micros(SystemClock().now()) // 1000
    changed = AliasChanged(registered=known.target, alias=alias, model=model, at_ms=now)
    return Along(
        facts=(draft(changed, parents=[known.target]),),
        tasks=told,
        documents=(touched_name(known.target, now),),
    )


def warn_of_deprecation(ledger: Ledger, project: str, model: str, label: str) -> None:
    """Warn whoever loads, releases or names a version that people advise against."""
    found = deprecation_of(ledger, project, model)
    if found is not None:
        warnings.warn(f"{label} is {found}", DeprecatedModel, stacklevel=3)
