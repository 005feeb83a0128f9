"""Deprecation: people advise against a version or a model, say why, and what to use instead."""

from collections.abc import Mapping
from typing import Final

from trivet.core.catalog import Amendment
from trivet.core.clock import SystemClock, to_micros
from trivet.core.errors import Forbidden, Invalid
from trivet.core.facts import Draft, Scope, draft
from trivet.core.ports import Stores
from trivet.models.amending import changed_name, changed_version
from trivet.models.documents import version_id
from trivet.models.facts import NameChanged, VersionChanged
from trivet.models.protections import Protections, stage_place
from trivet.models.references import Finder, Subject
from trivet.models.remarks import Deprecated, Deprecation
from trivet.models.standing import deprecation_of, deprecation_of_name
from trivet.models.tags import DEPRECATED, INSTEAD
from trivet.models.telling import News

_MOST: Final = 5_000


class Deprecations:
    """What is deprecated in one project.

    It is a fact of its own, and a tag of the version or the model, so that programs which know
    nothing of it see it and find by it.

    Args:
        stores: Where it is recorded.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope
        self._finder = Finder(stores, scope.project)

    def of(self, subject: Subject) -> Deprecation | None:
        """Return why something shall not be used any more; None when nobody says so."""
        find = deprecation_of if subject.version else deprecation_of_name
        return find(self._stores.ledger, self._scope.project, subject.id)

    def deprecate(
        self, reference: str, why: str, *, instead: str = "", force: str = ""
    ) -> Deprecation:
        """Advise against a version, or with a name alone against a model.

        Args:
            reference: `name:3`, `name@alias`, `name`, or an identifier.
            why: The reason, 1 to 5,000 characters.
            instead: What to use: a version or a model of this registry.
            force: Why, although a protected alias or stage points at it.

        Raises:
            NotFound: There is no such version or model.
            Invalid: The reason is empty, or what to use is it itself or deprecated, too.
            Forbidden: A protected alias or stage points at it (code `protected`), and no `force`
                is given.
        """
        subject = self._finder.subject(reference)
        said = Deprecated(
            subject=subject.id,
            why=_reason(why),
            instead=self._replacement(subject, instead),
            force=self._needed_force(subject, force.strip()),
        )
        self._record(subject, said, {DEPRECATED: said.why, INSTEAD: said.instead})
        found = self.of(subject)
        assert found is not None  # noqa: S101  # it was just recorded
        return found

    def lift(self, reference: str, why: str = "") -> Subject:
        """Take a deprecation back; that it was there stays on record.

        Raises:
            NotFound: There is no such version or model.
            Invalid: It is not deprecated (code `not-deprecated`), or its model is
                (`model-deprecated`).
        """
        subject = self._finder.subject(reference)
        known = self.of(subject)
        if known is None:
            raise Invalid(f"{subject.label} is not deprecated", code="not-deprecated")
        if known.is_of_name and subject.version is not None:
            raise Invalid(
                f"{subject.label} is not deprecated by itself: its model is",
                code="model-deprecated",
                hint=f"`trivet models deprecate {subject.registered.name} --undo`.",
            )
        said = Deprecated(subject=subject.id, why=why.strip()[:_MOST], is_over=True)
        self._record(subject, said, {})
        return subject

    def take_tag(self, reference: str, key: str, value: str | None) -> None:
        """Take a tag that a program sets, or with None takes away, for what it says.

        Raises:
            NotFound, Invalid, Forbidden: As `deprecate` and `lift`.
        """
        known = self.of(self._finder.subject(reference))
        if key == DEPRECATED:
            if value is not None:
                self.deprecate(reference, value, instead=known.instead if known else "")
            elif known is not None:
                self.lift(reference)
        elif known is not None:
            self.deprecate(reference, known.why, instead=value or "")
        elif value is not None:
            raise Invalid(
                f"{reference} is not deprecated",
                code="not-deprecated",
                hint=f"Set the tag {DEPRECATED} to the reason first.",
            )

    # ------------------------------------------------------------------- inside

    def _replacement(self, subject: Subject, instead: str) -> str:
        if not instead.strip():
            return ""
        found = self._finder.subject(instead.strip())
        if found.id == subject.id:
            raise Invalid(
                f"{found.label} cannot stand in for itself",
                code="bad-replacement",
                hint="Name another version or model.",
            )
        known = self.of(found)
        if known is not None and not (known.is_of_name and found.version is None):
            raise Invalid(
                f"{found.label} is deprecated, too: {known.why}",
                code="bad-replacement",
                hint=f"Name {known.instead}." if known.instead else "Name another one.",
            )
        return found.label

    def _needed_force(self, subject: Subject, force: str) -> str:
        """Return why something protected is deprecated all the same; nothing where nothing is."""
        try:
            self._demand_unprotected(subject)
        except Forbidden:
            if not force:
                raise
            return force
        return ""

    def _demand_unprotected(self, subject: Subject) -> None:
        protections = Protections(self._stores.ledger, self._scope)
        if not protections.all():
            return
        name, version = subject.registered.name, subject.version
        aliases = subject.registered.aliases if version is None else version.aliases
        places = [f"{name}@{alias}" for alias in aliases]
        versions = [version] if version else self._finder.versions(subject.registered)
        places += [f"{name}@{stage_place(v.stage)}" for v in versions if v.stage != "None"]
        for place in places:
            if protections.needed(place):
                raise Forbidden(
                    f"the protected {place} points at {subject.label}",
                    code="protected",
                    hint="Move it first; or say why all the same: `trivet models deprecate ... "
                    "--force WHY`, which is recorded.",
                )

    def _record(self, subject: Subject, said: Deprecated, tags: Mapping[str, str]) -> None:
        """Commit the fact, the tags by which programs see it, and what web hooks are told."""
        shown = {key: value for key, value in tags.items() if value}
        known = subject.version.tags if subject.version else subject.registered.tags
        dropped = tuple(key for key in (DEPRECATED, INSTEAD) if key in known and key not in shown)
        change, amendment = self._changing(subject, shown, dropped)
        facts = [draft(said, parents=[subject.id]), change]
        number = subject.version.number if subject.version else None
        news = News(self._stores, self._scope)
        tasks = list(news.of_deprecation(subject.registered.name, number, said))
        for key in (*shown, *dropped):
            tasks += news.of_tag(subject.registered, key, shown.get(key), number)
        word = "no longer deprecate" if said.is_over else "deprecate"
        batch = self._scope.batch(
            f"{word} {subject.label}: {said.why}".rstrip(": "),
            facts,
            documents=[amendment],
            tasks=tasks,
        )
        self._stores.ledger.commit(batch)

    def _changing(
        self, subject: Subject, tags: dict[str, str], dropped: tuple[str, ...]
    ) -> tuple[Draft, Amendment]:
        """Return the fact by which tags change, and what it makes of the document."""
        now = to_micros(SystemClock().now()) // 1000
        if subject.version is None:
            named = NameChanged(registered=subject.id, tags=tags, dropped=dropped, at_ms=now)
            return draft(named, parents=[subject.id]), changed_name(named, now)
        changed = VersionChanged(model=subject.id, tags=tags, dropped=dropped, at_ms=now)
        document = version_id(subject.registered.id, subject.version.number)
        return draft(changed, parents=[subject.id]), changed_version(document, changed, now)


def born_deprecated(subject: str, tags: Mapping[str, str]) -> list[Draft]:
    """Return the fact that something is deprecated from its beginning, as a copy of such is."""
    why = tags.get(DEPRECATED, "").strip()
    if not why:
        return []
    said = Deprecated(subject=subject, why=why[:_MOST], instead=tags.get(INSTEAD, ""))
    return [draft(said, parents=[subject])]


def _reason(why: str) -> str:
    plain = why.strip()
    if not 0 < len(plain) <= _MOST:
        raise Invalid(
            f"the reason has {len(plain)} characters; expected 1 to {_MOST}",
            code="no-reason",
            hint="Say why it shall not be used any more.",
        )
    return plain
