"""Verdicts of gates, and what people overruled."""

from typing import Any

from trivet.core.errors import Invalid
from trivet.core.facts import Entry, Scope, draft, read
from trivet.core.ports import Stores
from trivet.models.facts import GateOverride, GateVerdict, Measured
from trivet.models.provenance import reasons_of
from trivet.models.reading import entry_of, known_entries


class Verdicts:
    """The verdicts of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope

    def get(self, id: str) -> GateVerdict:
        """Return a verdict.

        Raises:
            NotFound: There is no such verdict in this project.
        """
        return read(entry_of(self._stores, self._scope.project, id, "verdict"), GateVerdict)

    def of(self, name: str, labels: str | None = None) -> tuple[tuple[str, GateVerdict], ...]:
        """Return identifier and verdict of everything judged for a name, oldest first.

        Args:
            name: The name.
            labels: Digest of held-out labels: what was judged on them for other names, too.
        """
        found = {entry.seq: entry for entry in self._all(GateVerdict.KIND, {"model": name})}
        if labels is not None:
            shared = self._all(GateVerdict.KIND, {"labels": labels})
            found |= {entry.seq: entry for entry in shared}
        return tuple((found[seq].id, read(found[seq], GateVerdict)) for seq in sorted(found))

    def override(self, verdict_id: str, reason: str) -> tuple[str, GateOverride]:
        """Overrule a refusal, in one's own name. The refusal stays on record beside it.

        What was refused can then be registered by that verdict; every release of it says who
        overruled the gate, and why.

        Args:
            verdict_id: The verdict.
            reason: Why the model shall be used all the same.

        Returns:
            The override's identifier and the override.

        Raises:
            Invalid: The reason is empty (`no-reason`), or the verdict is a yes (`passed`).
            NotFound: There is no such verdict in this project.
        """
        verdict = self.get(verdict_id)
        if not reason.strip():
            raise Invalid(
                "the reason is empty",
                code="no-reason",
                hint="Say why the model shall be used although its gate refused.",
            )
        if verdict.passed:
            raise Invalid(
                f"the verdict {verdict_id} passed: there is nothing to override",
                code="passed",
                hint="Register the model by this verdict.",
            )
        found = GateOverride(
            verdict=verdict_id,
            model=verdict.model,
            gate=verdict.gate,
            subject=verdict.subject,
            overruled=tuple(finding.check for finding in reasons_of(verdict)),
            by=self._scope.actor,
            reason=reason.strip(),
        )
        item = draft(found, parents=[verdict_id])
        why = f"override of gate {verdict.gate}: {found.reason}"
        self._stores.ledger.commit(self._scope.batch(why, [item]))
        return item.id, found

    def overrides(self, name: str) -> tuple[tuple[str, GateOverride], ...]:
        """Return identifier and content of every override for a name, oldest first."""
        entries = self._all(GateOverride.KIND, {"model": name})
        return tuple((entry.id, read(entry, GateOverride)) for entry in entries)

    def override_of(self, verdict_id: str) -> str | None:
        """Return the first override of a verdict, or None."""
        entries = self._all(GateOverride.KIND, {"verdict": verdict_id})
        return entries[0].id if entries else None

    def _all(self, kind: str, where: dict[str, str]) -> list[Entry]:
        return known_entries(self._stores, self._scope.project, kind, where)


def verdict_heads(name: str, labels: str | None) -> tuple[str, ...]:
    """Return the heads that a verdict moves, so that no look is priced twice.

    Args:
        name: What it is about.
        labels: Digest of the held-out labels, where rows are known by them.
    """
    return (f"verdict/{name}", *([f"verdict/labels/{labels}"] if labels else ()))


def figures_of(verdict: GateVerdict) -> dict[str, Measured]:
    """Take the figures of merit out of a verdict's findings."""
    figures: dict[str, Any] = {}
    rows = 0
    for finding in verdict.findings:
        if finding.check == "quality":
            figures, rows = finding.evidence.get("metrics", {}), finding.rows or 0
    return {
        name: Measured(value=value, low=low, high=high, rows=rows)
        for name, (value, low, high) in figures.items()
    }
