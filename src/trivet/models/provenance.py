"""What a model must come from before it may have a name: a finished run with data, code and lock.

Pure decisions about facts that the service has read.
"""

from collections.abc import Callable, Sequence

from trivet.core.errors import Refused
from trivet.core.gates import Finding
from trivet.models.facts import GateVerdict
from trivet.models.packaging import REQUIREMENTS, Package
from trivet.tracking.facts import Run


def demand_run(run: Run, data: Sequence[str], has_blob: Callable[[str], bool]) -> None:
    """Refuse a run that may not be named as a model's origin.

    Args:
        run: The run, as the ledger has it.
        data: The data commits it was given or read.
        has_blob: Says whether a blob is stored.

    Raises:
        Refused: It has not succeeded (`run-not-finished`), or lacks data (`no-data`), code
            (`no-code`) or an environment lock (`no-lock`).
    """
    if run.finished is None or run.status != "succeeded":
        raise Refused(
            f"the run {run.id} is {run.status}; expected one that succeeded",
            code="run-not-finished",
            hint="Register a model once its run has ended well.",
        )
    if not data:
        raise Refused(
            f"the run {run.id} names no data version; a model must say what it was trained on",
            code="no-data",
            hint="Declare the flow's parameter as Data or File, so that its version is recorded.",
        )
    if not has_blob(run.started.code.tree):
        raise Refused(
            f"the code of run {run.id} is not stored",
            code="no-code",
            hint="Run it again from the project's folder.",
        )
    if not has_blob(run.started.environment.lock):
        raise Refused(
            f"the environment lock of run {run.id} is not stored",
            code="no-lock",
            hint="Run it again.",
        )


def demand_package(package: Package, run: Run) -> None:
    """Refuse a package that carries another environment than its run's.

    Raises:
        Refused: Its lock is not the run's (code `other-lock`).
    """
    if package.manifest.files[REQUIREMENTS].digest != run.started.environment.lock:
        raise Refused(
            f"package {package.digest} carries another environment lock than run {run.id}",
            code="other-lock",
            hint="Package the candidate of this very run.",
        )


def demand_verdict(
    verdict: GateVerdict, name: str, package: Package, run: Run, *, is_overruled: bool = False
) -> None:
    """Refuse a verdict that does not let this package have this name.

    Args:
        verdict: The verdict.
        name: The registry name.
        package: What shall have it.
        run: The run that made the package.
        is_overruled: Whether somebody overruled a no.

    Raises:
        Refused: It is about another package, name or run (`other-verdict`), or it is a no that
            nobody overruled (`gate-refused`); `detail["findings"]` has the reasons.
    """
    about = (verdict.model, verdict.subject, verdict.run)
    if about != (name, package.digest, run.id):
        raise Refused(
            f"the verdict is about another candidate than package {package.digest} of run "
            f"{run.id} for {name!r}",
            code="other-verdict",
            hint="Judge this package for this name, then register it with that verdict.",
        )
    if not verdict.passed and not is_overruled:
        reasons = reasons_of(verdict)
        raise Refused(
            f"gate {verdict.gate!r} refused: " + "; ".join(f.summary for f in reasons),
            code="gate-refused",
            hint="Mend what the findings name, then judge the new candidate; or answer for it: "
            "`trivet models override VERDICT --reason ...`.",
            detail={"findings": [{"check": f.check, "summary": f.summary} for f in reasons]},
        )


def reasons_of(verdict: GateVerdict) -> list[Finding]:
    """Return the findings that stand in the way."""
    return [f for f in verdict.findings if f.severity == "block" and f.ok is not True]
