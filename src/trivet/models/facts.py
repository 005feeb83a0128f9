"""What the models room records: verdicts about candidates, and registered versions."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.core.gates import Finding
from trivet.tracking.reporting.facts import Imported

Task = Literal["binary", "multiclass", "regression"]
InputType = Literal["number", "integer", "boolean", "category", "datetime"]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One named input of a model, as a request must give it."""

    name: str
    type: InputType
    categories: tuple[str, ...] = ()
    """For `category`: the values seen in training, in code order (code 0 is the first)."""
    missing: Literal["allow", "reject"] = "allow"
    unknown: Literal["missing", "reject"] = "reject"
    """What becomes of a category that was not seen: a missing value (counted), or an error."""
    low: float | None = None
    high: float | None = None
    """The range seen in training, for people and monitors; not enforced."""
    example: Any = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The contract of a model: its inputs in order, and what it answers."""

    inputs: tuple[Input, ...]
    task: Task
    target: str
    classes: tuple[str, ...] = ()
    """For classification: the classes in output order; for `binary` the second is positive."""
    left_out: dict[str, str] = {}
    """Columns of the training table that are no inputs, and why."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its confidence interval and the rows it was measured on."""

    value: float
    low: float
    high: float
    rows: int
    confidence: float = 0.95


class GateVerdict(Fact, frozen=True, kw_only=True):
    """A gate judged a packaged candidate. Parents: its run, the held-out data, the champion."""

    KIND = "gate.verdict"
    INDEXED = ("model", "subject", "labels")

    model: str
    """The registry name the candidate wants."""
    gate: str
    subject: str
    """The package's digest."""
    passed: bool
    findings: tuple[Finding, ...]
    champion: str | None = None
    """Identifier of the model version it was compared with."""
    look: int = 1
    """How often held-out data was looked at for this name, this look included."""
    alpha: float | None = None
    """The one-sided level that this look was worth; None where no look was priced."""
    question: str = ""
    """Digest of what was asked: candidate, champion, rows, labels, groups, metric and demands."""
    labels: str | None = None
    """Digest of the held-out labels, by which equal rows are known under other names; None where
    they are all alike."""
    first_us: int | None = None
    """Event time of the first held-out row, microseconds since 1970 (UTC), where it has one."""
    last_us: int | None = None
    """Event time of the last held-out row."""
    rows: int = 0
    """How many held-out rows were looked at."""
    run: str | None = None
    """The run that made the candidate."""


class GateOverride(Fact, frozen=True, kw_only=True):
    """Somebody overruled a refusal, and answers for it. The verdict stays. Parent: the verdict.

    Who it was is the fact's actor; `by` repeats it for those who read the payload alone.
    """

    KIND = "gate.override"
    INDEXED = ("verdict", "model")

    verdict: str
    model: str
    gate: str
    subject: str
    """The package's digest."""
    overruled: tuple[str, ...]
    """The checks that stood in the way."""
    by: str
    reason: str


class ModelVersion(Fact, frozen=True, kw_only=True):
    """A registered version. Parents: the finished run, its data, the verdict, its override."""

    KIND = "model"
    INDEXED = ("name", "package")

    name: str
    version: int
    package: str
    """Merkle root (`b3:`) of the package's files: the model's identity everywhere."""
    size_bytes: int
    flavour: str
    signature: Signature
    metrics: dict[str, Measured] = {}
    run: str
    verdict: str
    data: tuple[str, ...] = ()
    override: str | None = None
    """The fact by which its refusal was overruled; None when its gate passed."""
    at_ms: int | None = None
    """When, in milliseconds since 1970 (UTC); None in facts of older formats: when committed."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model version with its identifier."""

    id: str
    version: ModelVersion

    @property
    def label(self) -> str:
        """`name:version`, as people write it."""
        return f"{self.version.name}:{self.version.version}"


class NameRegistered(Fact, frozen=True, kw_only=True):
    """Somebody took a name of the registry; its versions follow."""

    KIND = "registered-model"
    INDEXED = ("name",)

    name: str
    description: str | None = None
    tags: dict[str, str] = {}
    imported: Imported | None = None
    at_ms: int | None = None


class NameChanged(Fact, frozen=True, kw_only=True):
    """What became of a registered name; its parent is the `registered-model` fact."""

    KIND = "registered-model.changed"
    INDEXED = ("registered",)

    registered: str
    name: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Tags that were taken away."""
    is_deleted: bool = False
    imported: Imported | None = None
    at_ms: int | None = None


class AliasChanged(Fact, frozen=True, kw_only=True):
    """An alias of a name was set or taken away; its parent is the `registered-model` fact."""

    KIND = "alias.changed"
    INDEXED = ("registered",)

    registered: str
    alias: str
    model: str | None
    """The version that it points at; None: it is gone."""
    at_ms: int | None = None


class LoggedVersion(Fact, frozen=True, kw_only=True):
    """A version that is files somebody logged: no package, no verdict. Parent: the name.

    It has its number and its aliases like any version, and no release may serve it.
    """

    KIND = "model.logged"
    INDEXED = ("name", "registered")

    name: str
    registered: str
    """The `registered-model` fact."""
    version: int
    source: str
    """Where its files are, in the words of whoever registered it. Nothing here follows them."""
    location: str = ""
    """Where clients find its files, inside its run's or logged model's own artifacts."""
    run: str | None = None
    logged_model: str | None = None
    run_link: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    imported: Imported | None = None
    at_ms: int | None = None


VersionStage = Literal["None", "Staging", "Production", "Archived"]
"""Where a version stands in the one line that registries knew before they had aliases."""


class VersionChanged(Fact, frozen=True, kw_only=True):
    """What became of a version, packaged or logged; its parent is the version."""

    KIND = "model.changed"
    INDEXED = ("model",)

    model: str
    stage: VersionStage | None = None
    description: str | None = None
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    imported: Imported | None = None
    at_ms: int | None = None


class VersionsDeleted(Fact, frozen=True, kw_only=True):
    """Versions of a name are no longer shown; their records stay, and so do their numbers."""

    KIND = "model.deleted"
    INDEXED = ("name",)

    name: str
    models: tuple[str, ...]
    at_ms: int | None = None


class RegisteredName(msgspec.Struct, frozen=True, kw_only=True):
    """A name of the registry as it stands."""

    id: str
    """The `registered-model` fact."""
    name: str
    user: str
    made_ms: int
    changed_ms: int
    description: str | None
    tags: dict[str, str]
    aliases: dict[str, int]
    """Numbers of versions by alias."""


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """A move of an alias, as the ledger has it."""

    alias: str
    label: str
    """Which version it points at since then; empty: it is gone."""
    before: str
    """Which one it pointed at until then; empty: there was no such alias."""
    by: str
    time: datetime
    reason: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered name as it stands, packaged or logged."""

    id: str
    """The `model` or `model.logged` fact."""
    registered: str
    name: str
    number: int
    is_packaged: bool
    user: str
    made_ms: int
    changed_ms: int
    stage: VersionStage
    source: str
    location: str
    run: str | None
    logged_model: str | None
    run_link: str | None
    description: str | None
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`name:version`, as people write it."""
        return f"{self.name}:{self.number}"


class AliasProtected(Fact, frozen=True, kw_only=True):
    """Aliases of a pattern move only when people approved it; with no approvals: freely again."""

    KIND = "alias.protected"
    INDEXED = ("pattern",)

    pattern: str
    approvals: int
    """How many people must approve, besides whoever asks; 0 lifts the protection."""


class ApprovalRequested(Fact, frozen=True, kw_only=True):
    """Somebody wants to move a protected alias or stage; who, is the fact's actor.

    What is approved is this very content: another one of the same version needs a new request.
    """

    KIND = "approval.requested"
    INDEXED = ("place", "name")

    place: str
    """`name@alias`, or `name@stage/Production`."""
    name: str
    model: str | None
    """The version; None: the alias shall go away."""
    label: str
    digest: str
    """Of the version's files, or of the address under which others keep them; empty where it is
    not about files: a version leaves its stage."""
    verdict: str | None = None
    before: str | None = None
    """The version that the alias pointed at when this was asked for; None: there was no such
    alias, or it is about a stage."""


class ApprovalGiven(Fact, frozen=True, kw_only=True):
    """Somebody else than who asked approved a request, its parent; who, is the fact's actor."""

    KIND = "approval.given"
    INDEXED = ("request",)

    request: str
    reason: str


class ApprovalRefused(Fact, frozen=True, kw_only=True):
    """Somebody refused a request, its parent. It stays refused."""

    KIND = "approval.refused"
    INDEXED = ("request",)

    request: str
    reason: str


class ApprovalUsed(Fact, frozen=True, kw_only=True):
    """The alias was moved by a request, its parent; it does not serve a second time."""

    KIND = "approval.used"
    INDEXED = ("request",)

    request: str
