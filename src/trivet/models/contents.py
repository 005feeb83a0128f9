"""The content of a version: what its approval is about, and void when it changes."""

from trivet.core.errors import NotFound
from trivet.core.facts import read
from trivet.core.ids import sha256_hex
from trivet.core.ports import Ledger
from trivet.models.approvals import Content
from trivet.models.facts import LoggedVersion, ModelVersion
from trivet.models.sources import is_inside
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.runs import ReportedRuns


class Contents:
    """Tells what versions are made of.

    Args:
        ledger: Where they are recorded.
        artifacts: The files of runs and logged models.
        runs: The runs that report about themselves.
        logged_models: The models that they logged.
    """

    def __init__(
        self, ledger: Ledger, artifacts: Artifacts, runs: ReportedRuns, logged_models: LoggedModels
    ) -> None:
        self._ledger = ledger
        self._artifacts = artifacts
        self._runs = runs
        self._logged_models = logged_models

    def of(self, model: str) -> Content:
        """Return the content of a version, packaged or logged.

        Files that others keep are known by their address alone.

        Raises:
            NotFound: There is no such version.
        """
        entry = self._ledger.get(model)
        if entry is None or entry.kind != LoggedVersion.KIND:
            return packaged_content(model, read(entry, ModelVersion))
        version = read(entry, LoggedVersion)
        label = f"{version.name}:{version.version}"
        digests = [version.location, *self._files(version)]
        digest = sha256_hex(*(text.encode() for text in digests))
        return Content(model=model, label=label, digest=digest)

    def _files(self, version: LoggedVersion) -> list[str]:
        """Return the digest of the version's files, if they are kept here."""
        for owner, root in self._roots(version):
            if is_inside(version.location, root):
                path = version.location.removeprefix(root.rstrip("/")).strip("/")
                return [self._artifacts.digest(owner, path)]
        return []

    def _roots(self, version: LoggedVersion) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        try:
            if version.logged_model:
                model = self._logged_models.get(version.logged_model, allow_deleted=True)
                found.append((owner_of("model", model.id), model.location))
            if version.run:
                run = self._runs.get(version.run)
                found.append((owner_of("run", run.id), run.location))
        except NotFound:
            return found
        return found


def packaged_content(model: str, version: ModelVersion) -> Content:
    """Return the content of a packaged version: its package, and the verdict about it."""
    return Content(
        model=model,
        label=f"{version.name}:{version.version}",
        digest=version.package,
        verdict=version.verdict,
    )
