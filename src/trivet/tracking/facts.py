"""What the tracking room records: runs, how they ended, and notes about anything."""

from typing import Any, Literal

import msgspec

from trivet.core.facts import Fact

RunStatus = Literal["running", "succeeded", "failed", "cancelled", "lost"]
"""`lost`: its process died and recorded no end."""


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """The exact code of a run: a commit with its dirty diff, and the sources themselves."""

    tree: str
    """Merkle root (`b3:`) of the project's source files as they were."""
    entry: str
    """`module:function` that was run."""
    commit: str | None = None
    """Git commit, 40 hexadecimal digits, when the project lives in a repository."""
    dirty: bool = False
    diff: str | None = None
    """Blob digest of `git diff HEAD` (with untracked sources), when dirty."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the code ran on. `lock` is the blob digest of the list of installed distributions."""

    lock: str
    packages: int
    python: str
    platform: str
    processors: int
    memory_bytes: int


class RunStarted(Fact, frozen=True, kw_only=True):
    """A run began.

    Its parents are the data commits and assets it was given, and the firing that asked for it.
    """

    KIND = "run"
    INDEXED = ("name", "request")

    name: str
    parameters: dict[str, Any] = {}
    code: CodeState
    environment: Environment
    data: tuple[str, ...] = ()
    """Identifiers of the data commits it was given."""
    assets: tuple[str, ...] = ()
    """Identifiers of the versions of assets, results of other runs, that it was given."""
    asked_by: str | None = None
    """The trigger firing that asked for it, if any."""
    request: str | None = None
    """Names what was asked for: equal in every run that is another attempt at the same."""
    task: str | None = None
    """Key of the task behind the run in the journal."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A named result of a run, kept in the stores."""

    name: str
    format: str
    digest: str
    """Merkle root of the value's files."""
    size_bytes: int


class RunFinished(Fact, frozen=True, kw_only=True):
    """A run ended. Its first parent is the `run` fact; further ones are data it read meanwhile."""

    KIND = "run.finished"
    INDEXED = ("run", "status")

    run: str
    status: RunStatus
    seconds: float
    metrics: dict[str, float] = {}
    outputs: tuple[Output, ...] = ()
    error: str | None = None
    at_ms: int | None = None
    """When, in milliseconds since 1970 (UTC); None in facts of older formats: when committed."""


class Note(Fact, frozen=True, kw_only=True):
    """What a person wrote about a fact; its parent is that fact."""

    KIND = "note"
    INDEXED = ("subject",)

    subject: str
    text: str


class ArtifactStored(Fact, frozen=True, kw_only=True):
    """A file of an owner stands at a path; it replaces what stood there."""

    KIND = "artifact"
    INDEXED = ("owner",)

    owner: str
    """Whose file it is: an opaque text that names a run, a model, an experiment or a trace."""
    path: str
    digest: str
    """Blob digest of its bytes."""
    size_bytes: int
    media_type: str


class ArtifactsDeleted(Fact, frozen=True, kw_only=True):
    """The file at a path of an owner, or all files below it, are no longer there.

    Their bytes stay until nothing names them.
    """

    KIND = "artifact.deleted"
    INDEXED = ("owner",)

    owner: str
    path: str
    """A file or a folder; empty: all of the owner's."""
    files: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as people see it: how it began and, once it is over, how it ended."""

    id: str
    started: RunStarted
    finished_id: str | None = None
    finished: RunFinished | None = None

    @property
    def status(self) -> RunStatus:
        """Where the run stands."""
        return self.finished.status if self.finished else "running"

    def output(self, name: str) -> Output | None:
        """Return the output of this name, or None."""
        outputs = self.finished.outputs if self.finished else ()
        return next((item for item in outputs if item.name == name), None)
