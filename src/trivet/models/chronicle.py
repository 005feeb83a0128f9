"""The chronicle of a model or a version: everything that was recorded of it, in its order.

It is read from facts alone: a name that was given up and versions that were deleted have theirs.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from trivet.core.facts import Entry, Fact, HeadMoved, read
from trivet.core.ports import Ledger
from trivet.core.search import find_all
from trivet.models.facts import (
    ApprovalGiven,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalUsed,
    LoggedVersion,
    ModelVersion,
    NameChanged,
    NameRegistered,
    VersionChanged,
    VersionsDeleted,
)
from trivet.models.names import head_of
from trivet.models.references import Subject
from trivet.models.remarks import AliasForced, Commented, Deprecated
from trivet.models.tags import MEANING
from trivet.tracking.facts import Note


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was recorded."""

    time: datetime
    by: str
    what: str
    """One word, such as `registered`, `alias`, `deprecated` or `comment`."""
    about: str
    """The name, or `name:version`."""
    text: str
    """What happened, for people."""
    fact: str
    seq: int


class Chronicle:
    """Tells what was recorded of models and versions in one project.

    Args:
        ledger: Where it is recorded.
        project: Whose registry.
    """

    def __init__(self, ledger: Ledger, project: str) -> None:
        self._ledger = ledger
        self._project = project

    def of(self, subject: Subject) -> tuple[Event, ...]:
        """Return what was recorded of a model with its versions, or of a version, newest first."""
        name = subject.registered.name
        if subject.version is not None:
            events = list(self._of_version(subject.id, subject.label))
            events += self._moves(name, subject.id)
        else:
            events = list(self._of_name(subject.registered.id, name))
            events += self._moves(name, None)
            for model, label in self._versions(subject.registered.id, name):
                events += self._of_version(model, label)
        events += self._approvals(subject)
        distinct = {(event.fact, event.about, event.what): event for event in events}
        return tuple(sorted(distinct.values(), key=lambda event: event.seq, reverse=True))

    def alias_names(self, name: str) -> tuple[str, ...]:
        """Return the aliases that a name has or ever had, sorted."""
        return tuple(sorted({alias for alias, _, _ in self._moved(name)}))

    # ------------------------------------------------------------------- inside

    def _versions(self, registered: str, name: str) -> Iterator[tuple[str, str]]:
        for entry in self._find(LoggedVersion, "registered", registered):
            logged = read(entry, LoggedVersion)
            yield entry.id, f"{name}:{logged.version}"
        for entry in self._find(ModelVersion, "name", name):
            yield entry.id, f"{name}:{read(entry, ModelVersion).version}"

    def _of_name(self, registered: str, name: str) -> Iterator[Event]:
        made = self._ledger.get(registered)
        if made is not None and made.payload is not None:
            first = read(made, NameRegistered).name
            yield _event(made, "registered", first, f"the name {first} was taken")
        for entry in self._find(NameChanged, "registered", registered):
            changed = read(entry, NameChanged)
            yield from _changes(entry, name, changed)
            if changed.name is not None:
                yield _event(entry, "renamed", name, f"renamed to {changed.name}")
            if changed.is_deleted:
                yield _event(entry, "deleted", name, "the name was given up")
        yield from self._remarks(registered, name)

    def _of_version(self, model: str, label: str) -> Iterator[Event]:
        made = self._ledger.get(model)
        if made is not None:
            kind = "logged" if made.kind == LoggedVersion.KIND else "packaged"
            yield _event(made, "registered", label, f"{kind} and registered")
        for entry in self._find(VersionChanged, "model", model):
            changed = read(entry, VersionChanged)
            yield from _changes(entry, label, changed)
            if changed.stage is not None:
                yield _event(entry, "stage", label, f"came to stage {changed.stage}")
        for entry in self._ledger.find(VersionsDeleted.KIND, parent=model).entries:
            yield _event(entry, "deleted", label, "deleted")
        yield from self._remarks(model, label)

    def _remarks(self, subject: str, label: str) -> Iterator[Event]:
        for entry in self._find(Deprecated, "subject", subject):
            said = read(entry, Deprecated)
            instead = f"; use {said.instead}" if said.instead else ""
            force = f"; although protected: {said.force}" if said.force else ""
            word = "restored" if said.is_over else "deprecated"
            yield _event(entry, word, label, f"{said.why}{instead}{force}" or word)
        for entry in self._find(Commented, "subject", subject):
            yield _comment(entry, label)
        for entry in self._find(Note, "subject", subject):
            yield _event(entry, "comment", label, read(entry, Note).text)
        for entry in self._find(AliasForced, "model", subject):
            forced = read(entry, AliasForced)
            text = f"{forced.place} although deprecated: {forced.reason}"
            yield _event(entry, "forced", label, text)

    def _moves(self, name: str, model: str | None) -> Iterator[Event]:
        for alias, entry, moved in self._moved(name):
            if model is not None and model not in {moved.before, moved.after}:
                continue
            before, after = (self._label(each) for each in (moved.before, moved.after))
            text = f"{alias}: {before} → {after} ({entry.reason})"
            yield _event(entry, "alias", name, text)

    def _moved(self, name: str) -> Iterator[tuple[str, Entry, HeadMoved]]:
        """Yield every move of the aliases of a name, those that are gone among them.

        Heads that moved are found by their whole name alone; so all are looked through.
        """
        prefix = f"{head_of(name)}@"
        written = msgspec.json.encode(prefix)[1:-1]
        found = find_all(self._ledger, HeadMoved.KIND, where={}, project=self._project)
        for entry in found:
            if entry.payload is None or written not in entry.payload:
                continue
            moved = read(entry, HeadMoved)
            if moved.name.startswith(prefix):
                yield moved.name.removeprefix(prefix), entry, moved

    def _approvals(self, subject: Subject) -> Iterator[Event]:
        name = subject.registered.name
        for entry in self._find(ApprovalRequested, "name", name):
            asked = read(entry, ApprovalRequested)
            if subject.version is not None and asked.model != subject.id:
                continue
            text = f"asked to move {asked.place} to {asked.label}: request {entry.id}"
            yield _event(entry, "asked", name, text)
            for kind, word in _DECISIONS.items():
                for said in self._find(kind, "request", entry.id):
                    reason = str(getattr(read(said, kind), "reason", ""))
                    text = f"{asked.place} to {asked.label}{f': {reason}' if reason else ''}"
                    yield _event(said, word, name, text)

    def _label(self, model: str | None) -> str:
        entry = None if model is None else self._ledger.get(model)
        if entry is None or entry.payload is None:
            return "nothing"
        kind = LoggedVersion if entry.kind == LoggedVersion.KIND else ModelVersion
        version = read(entry, kind)
        return f"{version.name}:{version.version}"

    def _find(self, kind: type[Fact], field: str, value: str) -> Iterator[Entry]:
        found = find_all(self._ledger, kind.KIND, where={field: value}, project=self._project)
        return (entry for entry in found if entry.payload is not None)


_DECISIONS: Final[dict[type[Fact], str]] = {
    ApprovalGiven: "approved",
    ApprovalRefused: "refused",
    ApprovalUsed: "moved",
}


def _comment(entry: Entry, label: str) -> Event:
    said = read(entry, Commented)
    if said.is_withdrawn:
        return _event(entry, "comment", label, f"withdrew comment {said.comment}")
    edit = f" (edit of {said.comment})" if said.comment else ""
    return _event(entry, "comment", label, f"{said.text}{edit}")


def _changes(entry: Entry, label: str, changed: NameChanged | VersionChanged) -> Iterator[Event]:
    if changed.description is not None:
        yield _event(entry, "described", label, changed.description)
    set_ = {key: value for key, value in changed.tags.items() if key not in MEANING}
    gone = [key for key in changed.dropped if key not in MEANING]
    if set_ or gone:
        words = [f"{key} = {value}" for key, value in set_.items()]
        words += [f"without {key}" for key in gone]
        yield _event(entry, "tagged", label, ", ".join(words))


def _event(entry: Entry, what: str, about: str, text: str) -> Event:
    return Event(
        time=entry.time,
        by=entry.actor,
        what=what,
        about=about,
        text=text,
        fact=entry.id,
        seq=entry.seq,
    )
