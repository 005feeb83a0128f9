"""An example request: what to send to a released model, with values as training saw them."""

from typing import Any

import msgspec

from trivet.core.facts import read
from trivet.models.facts import Input, ModelVersion, Signature
from trivet.workspace.workspace import Workspace


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that answers, and a row that it takes."""

    endpoint: str
    model: str
    """`name:version` of the champion."""
    row: dict[str, Any]


def example_of(workspace: Workspace) -> Example | None:
    """Return an example for the project's endpoint, else for any that was released, else None."""
    released = workspace.releases.endpoints()
    preferred = workspace.settings.endpoint
    for endpoint in sorted(released, key=lambda name: name != preferred):
        release = workspace.releases.current(endpoint)
        if release is not None:
            champion = release.plan.variants[0]
            version = read(workspace.stores.ledger.get(champion.model), ModelVersion)
            return Example(
                endpoint=endpoint,
                model=f"{version.name}:{version.version}",
                row=example_row(version.signature),
            )
    return None


def example_row(signature: Signature) -> dict[str, Any]:
    """Return a row that a signature takes: each input's example, or a value in its range."""
    return {item.name: _value(item) for item in signature.inputs}


def _value(item: Input) -> Any:  # noqa: ANN401  # any JSON value
    if item.example is not None or item.missing == "allow":
        return item.example
    match item.type:
        case "category":
            return item.categories[0] if item.categories else ""
        case "boolean":
            return False
        case "datetime":
            return "2024-01-01T00:00:00"
        case "integer":
            return int(item.low or 0.0)
        case "number":
            return item.low or 0.0
