"""What the moving room records, and what it answers."""

import msgspec

from trivet.core.facts import Fact


class Counts(msgspec.Struct, kw_only=True):
    """What was moved so far."""

    experiments: int = 0
    runs_new: int = 0
    runs_changed: int = 0
    runs_same: int = 0
    points: int = 0
    traces_new: int = 0
    traces_changed: int = 0
    traces_same: int = 0
    logged_models: int = 0
    registered_models: int = 0
    versions: int = 0
    files: int = 0
    size_bytes: int = 0
    """Of the files that were copied."""

    @property
    def runs(self) -> int:
        """How many runs were looked at."""
        return self.runs_new + self.runs_changed + self.runs_same

    @property
    def traces(self) -> int:
        """How many traces were looked at."""
        return self.traces_new + self.traces_changed + self.traces_same


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were not copied, and why."""

    owner: str
    location: str
    reason: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What moving brought."""

    source: str
    target: str
    is_dry: bool
    counts: Counts
    left: tuple[Left, ...]
    remarks: tuple[str, ...]


class ImportEnded(Fact, frozen=True, kw_only=True):
    """An import came to its end. What it brought says so itself."""

    KIND = "import"
    INDEXED = ("source",)

    source: str
    counts: Counts
    left: int
    """How many runs and models have files that were not copied."""
