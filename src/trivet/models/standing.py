"""Whether people advise against a version: by itself, or because of its model."""

from trivet.core.facts import Entry, read
from trivet.core.ports import Ledger
from trivet.models.facts import LoggedVersion, ModelVersion
from trivet.models.names import registered_head
from trivet.models.remarks import Deprecated, Deprecation


def deprecation_of(ledger: Ledger, project: str, model: str) -> Deprecation | None:
    """Return why a version shall not be used any more; None when nobody says so.

    What is said of the version itself comes before what is said of its model.
    """
    own = _standing(ledger, project, model, is_of_name=False)
    if own is not None:
        return own
    name = _name_of(ledger, project, ledger.get(model))
    return None if name is None else _standing(ledger, project, name, is_of_name=True)


def deprecation_of_name(ledger: Ledger, project: str, registered: str) -> Deprecation | None:
    """Return why a model shall not be used any more; None when nobody says so."""
    return _standing(ledger, project, registered, is_of_name=True)


def _name_of(ledger: Ledger, project: str, version: Entry | None) -> str | None:
    """Return the fact of the name that a version belongs to."""
    if version is None or version.payload is None:
        return None
    if version.kind == LoggedVersion.KIND:
        return read(version, LoggedVersion).registered
    if version.kind != ModelVersion.KIND:
        return None
    head = ledger.head(project, registered_head(read(version, ModelVersion).name))
    return None if head is None else head.target


def _standing(
    ledger: Ledger, project: str, subject: str, *, is_of_name: bool
) -> Deprecation | None:
    found = ledger.find(Deprecated.KIND, where={"subject": subject}, project=project, limit=1)
    for entry in found.entries:
        if entry.payload is None or (fact := read(entry, Deprecated)).is_over:
            return None
        return Deprecation(
            id=entry.id,
            why=fact.why,
            instead=fact.instead,
            by=entry.actor,
            time=entry.time,
            is_of_name=is_of_name,
        )
    return None
