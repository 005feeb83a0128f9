"""The content of a version: what its approval is about, and void when it changes."""

from functools import cached_property
from typing import Protocol

import msgspec

from trivet.core.facts import Scope, read
from trivet.core.ids import sha256_hex
from trivet.core.ports import Ledger, Stores
from trivet.core.search import find_all
from trivet.models.facts import GateVerdict, LoggedVersion, ModelVersion
from trivet.models.sources import is_inside
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.freezing import Place
from trivet.tracking.reporting.facts import RunOpened
from trivet.tracking.reporting.logged_facts import LoggedModelMade


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias shall point at: a version with the digest of its content and its verdict."""

    model: str | None
    label: str
    digest: str = ""
    """Empty where it is not about what the version is made of: it leaves its stage."""
    verdict: str | None = None


class Described(Protocol):
    """Tells what versions are made of."""

    def of(self, model: str) -> Content:
        """Return the content of a version, packaged or logged."""
        ...

    def place(self, model: str) -> Place | None:
        """Return where a version's files are, if they are artifacts kept here."""
        ...


class Contents:
    """Tells what the versions of one project are made of.

    Args:
        stores: Where versions and their files are.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope

    def of(self, model: str) -> Content:
        """Return the content of a version, packaged or logged.

        Files that others keep are known by their address alone.

        Raises:
            NotFound: There is no such version.
        """
        entry = self._stores.ledger.get(model)
        if entry is None or entry.kind != LoggedVersion.KIND:
            version = read(entry, ModelVersion)
            return packaged_content(self._stores.ledger, self._scope.project, model, version)
        logged = read(entry, LoggedVersion)
        place = self._place(logged)
        digests = [logged.location]
        if place is not None:
            digests.append(self._artifacts.digest(place.owner, place.path))
        return Content(
            model=model,
            label=f"{logged.name}:{logged.version}",
            digest=sha256_hex(*(text.encode() for text in digests)),
        )

    def place(self, model: str) -> Place | None:
        """Return where a version's files are; None for packages, and for what others keep."""
        entry = self._stores.ledger.get(model)
        if entry is None or entry.kind != LoggedVersion.KIND:
            return None
        return self._place(read(entry, LoggedVersion))

    @cached_property
    def _artifacts(self) -> Artifacts:
        return Artifacts(self._stores, self._scope)

    def _place(self, version: LoggedVersion) -> Place | None:
        for owner, root in self._roots(version):
            if is_inside(version.location, root):
                path = version.location.removeprefix(root.rstrip("/")).strip("/")
                return Place(owner, path)
        return None

    def _roots(self, version: LoggedVersion) -> list[tuple[str, str]]:
        """Return owners of artifacts, and where these are, by what was recorded of them first."""
        ledger = self._stores.ledger
        found: list[tuple[str, str]] = []
        if version.logged_model:
            entry = ledger.get(version.logged_model.removeprefix("m-"))
            if entry is not None and entry.kind == LoggedModelMade.KIND:
                root = read(entry, LoggedModelMade).location
                found.append((owner_of("model", version.logged_model), root))
        if version.run:
            entry = ledger.get(version.run)
            if entry is not None and entry.kind == RunOpened.KIND:
                found.append((owner_of("run", version.run), read(entry, RunOpened).location))
        return found


def packaged_content(ledger: Ledger, project: str, model: str, version: ModelVersion) -> Content:
    """Return the content of a packaged version: its package, and what its gate last said of it.

    A package that is judged again by the same gate has another verdict, and what was approved
    before is void.
    """
    return Content(
        model=model,
        label=f"{version.name}:{version.version}",
        digest=version.package,
        verdict=newest_verdict(ledger, project, version),
    )


def newest_verdict(ledger: Ledger, project: str, version: ModelVersion) -> str:
    """Return the newest verdict of a version's gate about its package."""
    gate = ""
    own = ledger.get(version.verdict)
    if own is not None and own.payload is not None:
        gate = read(own, GateVerdict).gate
    found = find_all(
        ledger, GateVerdict.KIND, where={"model": version.name}, project=project, newest_first=True
    )
    for entry in found:
        if entry.id == version.verdict:
            break
        if entry.payload is None:
            continue
        verdict = read(entry, GateVerdict)
        if (verdict.subject, verdict.gate) == (version.package, gate):
            return entry.id
    return version.verdict
