"""Making a card: the evidence in sections, and the header that model hubs read."""

from typing import Any, Final

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.workspace.cards.card import Card
from trivet.workspace.cards.evidence import Evidence, gather_evidence
from trivet.workspace.cards.sections import sections_of

_PIPELINES: Final = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
}
"""What a hub calls the tasks."""


def make_card(stores: Stores, scope: Scope, reference: str) -> Card:
    """Make the card of a version from what is on record.

    Args:
        stores: Where it is.
        scope: The project; who asks changes nothing.
        reference: `name:3`, `name@3`, `name@alias`, or an identifier.

    Raises:
        NotFound: There is no such version.
    """
    evidence = gather_evidence(stores, scope, reference)
    summary = evidence.texts.get("summary")
    version = evidence.subject.version
    told = summary.text if summary else (version.description if version else None)
    return Card(
        label=evidence.subject.label,
        summary=told or str(evidence.brief.get("goal", "")),
        warning="" if evidence.deprecation is None else str(evidence.deprecation),
        metadata=metadata_of(evidence),
        sections=sections_of(evidence),
    )


def metadata_of(evidence: Evidence) -> dict[str, Any]:
    """Return a card's header in the terms of model hubs; what is not known is left out."""
    texts = {name: said.text for name, said in evidence.texts.items()}
    model = evidence.model
    data = [used.commit.dataset for used in evidence.data]
    data += [item.name for item in evidence.inputs]
    found: dict[str, Any] = {
        "language": texts.get("language"),
        "license": texts.get("license"),
        "library_name": model.flavour if model else None,
        "pipeline_tag": _PIPELINES[model.signature.task] if model else None,
        "tags": ["trivet", *([model.signature.task] if model else ["logged"])],
        "datasets": list(dict.fromkeys(data)),
        "metrics": list(model.metrics) if model else [],
        "new_version": evidence.deprecation.instead if evidence.deprecation else None,
        "model-index": _index(evidence),
    }
    return {name: value for name, value in found.items() if value}


def _index(evidence: Evidence) -> list[dict[str, Any]]:
    model = evidence.model
    if model is None or not model.metrics:
        return []
    figures = [
        {"type": name, "name": name, "value": measured.value}
        for name, measured in model.metrics.items()
    ]
    data = evidence.data[0] if evidence.data else None
    held_out = {"name": "held-out rows", "type": "held-out"}
    if data is not None:
        held_out |= {"name": f"held-out rows of {data.commit.dataset}", "revision": data.id}
    task = {"type": _PIPELINES[model.signature.task]}
    result = {"task": task, "dataset": held_out, "metrics": figures}
    return [{"name": evidence.subject.label, "results": [result]}]
