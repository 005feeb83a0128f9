"""Searches for versions of registered models, in the words that people use."""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from trivet.core.catalog import (
    Compare,
    Condition,
    Document,
    Either,
    Every,
    Has,
    OneOf,
    Order,
    Position,
    Search,
)
from trivet.core.documents import holds
from trivet.core.errors import Invalid
from trivet.core.facts import Entry, read
from trivet.core.filtering import Entity, Grammar, Kind, parse_filter, parse_order
from trivet.core.ports import Stores
from trivet.models.documents import VERSIONS
from trivet.models.facts import LoggedVersion, ModelVersion
from trivet.models.names import head_of, name_of
from trivet.models.searching import is_no_prompt

_ATTRIBUTES: Final = {
    "name": "name",
    "version": "version_number",
    "alias": "alias",
    "stage": "current_stage",
    "kind": "packaged",
    "run": "run_id",
    "user": "user_id",
    "source": "source_path",
    "made": "creation_timestamp",
    "changed": "last_updated_timestamp",
}
"""What documents call a version's own fields."""
_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(_ATTRIBUTES, "text"),
    "version": "number",
    "made": "time",
    "changed": "time",
}
_SORTS: Final = {1.0: "packaged", 0.0: "logged"}
_FIRST: Final = (Order("name"), Order("version_number", falls=True))


class FoundVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model as a search finds it."""

    id: str
    """The fact by which it was registered."""
    name: str
    version: int
    kind: str
    """`packaged`, or `logged`: files that nobody has judged."""
    aliases: tuple[str, ...]
    stage: str
    run: str | None
    user: str
    source: str
    made_ms: int
    changed_ms: int
    metrics: dict[str, float]
    """Those of its verdict; a logged version has none."""
    tags: dict[str, str]

    @property
    def label(self) -> str:
        """`name:version`, as people write it."""
        return f"{self.name}:{self.version}"


class FoundVersions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of versions; `after` continues the search, None when it is over."""

    versions: tuple[FoundVersion, ...]
    after: Position | None


class VersionFinder:
    """Searches the versions of one project's registered models.

    Args:
        stores: Where they are.
        project: The project.
    """

    def __init__(self, stores: Stores, project: str) -> None:
        self._stores = stores
        self._project = project

    def find(
        self,
        text: str = "",
        *,
        order: Iterable[str] = (),
        after: Position | None = None,
        limit: int = 1000,
    ) -> FoundVersions:
        """Return a page of versions, by name and the newest first unless an order is given.

        Args:
            text: A filter, such as `metrics.auc > 0.9 AND alias = 'champion'`. It speaks of name,
                version, alias, stage, kind, run, user, source, made, changed, metrics and tags.
            order: Names to order by, each with ASC or DESC behind it when it matters.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.

        Raises:
            Invalid: The filter or an order does not follow the grammar, or names what no version
                has (code `unknown-column`).
        """
        grammar = self._grammar()
        found = self._stores.catalog.search(
            Search(
                collection=VERSIONS,
                groups=(self._project,),
                where=Every((is_no_prompt(), parse_filter(text, grammar))),
                order=_orders(order, grammar),
                after=after,
                limit=limit,
            )
        )
        aliases = self._aliases()
        versions = tuple(_found(document, aliases) for document in found.documents)
        return FoundVersions(versions=versions, after=found.after)

    def _grammar(self) -> Grammar:
        own = Entity(prefix="", fields=_KINDS)
        metrics, tags = Entity(prefix="metrics.", kind="number"), Entity(prefix="tags.")
        return Grammar(
            entities={
                **dict.fromkeys(("metrics", "metric"), metrics),
                **dict.fromkeys(("tags", "tag"), tags),
            },
            bare=own,
            refine=self._refined,
            known=self._known,
        )

    def _known(self, prefix: str) -> Collection[str]:
        return self._stores.catalog.names(VERSIONS, prefix, groups=[self._project])

    def _refined(self, condition: Condition) -> Condition:
        if not isinstance(condition, Compare | OneOf | Has):
            return condition
        if condition.name == "alias":
            return self._of_alias(condition)
        if condition.name == "kind":
            return _of_kind(condition)
        name = _ATTRIBUTES.get(condition.name, condition.name)
        return msgspec.structs.replace(condition, name=name)

    def _of_alias(self, condition: Compare | OneOf | Has) -> Condition:
        """Aliases are heads and in no document: name the versions that they point at."""
        wanted = isinstance(condition, Has) or condition
        places = sorted(
            place
            for place, aliases in self._aliases().items()
            if wanted is True or any(holds(condition, {"alias": alias}) for alias in aliases)
        )
        if isinstance(condition, Has) and condition.negated:
            return Every(
                tuple(
                    Either((Compare("name", "!=", name), Compare("version_number", "!=", number)))
                    for name, number in places
                )
            )
        return Either(
            tuple(
                Every((Compare("name", "=", name), Compare("version_number", "=", number)))
                for name, number in places
            )
        )

    def _aliases(self) -> dict[tuple[str, int], list[str]]:
        """Return the aliases of versions, by name and number."""
        found: dict[tuple[str, int], list[str]] = {}
        for head in self._stores.ledger.heads(self._project, head_of("")):
            _, at, alias = head.name.rpartition("@")
            entry = self._stores.ledger.get(head.target) if at else None
            if entry is not None and entry.payload is not None:
                found.setdefault((name_of(head.name), _number(entry)), []).append(alias)
        return found


def _number(entry: Entry) -> int:
    kind = ModelVersion if entry.kind == ModelVersion.KIND else LoggedVersion
    return read(entry, kind).version


def _of_kind(condition: Compare | OneOf | Has) -> Condition:
    if isinstance(condition, Has):
        return msgspec.structs.replace(condition, name="packaged")
    asked = condition.values if isinstance(condition, OneOf) else (condition.value,)
    is_pattern = isinstance(condition, Compare) and condition.operator in {"like", "ilike"}
    unknown = [value for value in asked if value not in _SORTS.values()]
    if unknown and not is_pattern:
        raise Invalid(
            f"no version is of the kind {unknown[0]!r}; expected one of {sorted(_SORTS.values())}",
            code="bad-filter",
        )
    meant = (value for value, word in _SORTS.items() if holds(condition, {"kind": word}))
    return OneOf("packaged", tuple(meant))


def _orders(texts: Iterable[str], grammar: Grammar) -> tuple[Order, ...]:
    orders = [parse_order(text, grammar) for text in texts]
    if any(order.name == "alias" for order in orders):
        raise Invalid(
            "versions cannot be ordered by 'alias'; expected a metric, a tag or another field",
            code="bad-order",
        )
    named = [
        msgspec.structs.replace(order, name=_ATTRIBUTES.get(order.name, order.name))
        for order in orders
    ]
    known = {order.name for order in named}
    return (*named, *(order for order in _FIRST if order.name not in known))


def _found(document: Document, aliases: dict[tuple[str, int], list[str]]) -> FoundVersion:
    found = document.attributes
    name, number = str(found["name"]), int(found["version_number"])
    run = found.get("run_id")
    return FoundVersion(
        id=document.notes["fact"],
        name=name,
        version=number,
        kind=_SORTS.get(float(found["packaged"]), "logged"),
        aliases=tuple(sorted(aliases.get((name, number), ()))),
        stage=str(found["current_stage"]),
        run=None if run is None else str(run),
        user=str(found["user_id"]),
        source=str(found["source_path"]),
        made_ms=int(found["creation_timestamp"]),
        changed_ms=int(found["last_updated_timestamp"]),
        metrics={k[8:]: float(v) for k, v in found.items() if k.startswith("metrics.")},
        tags={k[5:]: str(v) for k, v in found.items() if k.startswith("tags.")},
    )
