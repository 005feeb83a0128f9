"""The files of a project that say how its model goes live and is watched."""

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from trivet.releases.judge import RolloutPolicy
from trivet.triggers.facts import AlertKind, Cause, Options
from trivet.workspace.settings import unreadable

T = TypeVar("T", bound=msgspec.Struct)

RELEASE_FILE = "release.toml"
MONITOR_FILE = "monitor.toml"


class RolloutFile(RolloutPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[rollout]` of `release.toml`. A fact may learn new words; a file has no unknown ones."""


class ReleaseFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`release.toml`: how a version goes live."""

    log_mode: Literal["audit", "monitor"] = "audit"
    automatic: bool = True
    """Whether a retrained version that passed the gate goes through shadow and canary itself."""
    rollout: RolloutFile = RolloutFile()


class TriggerFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table `[triggers.<name>]` of `monitor.toml`."""

    cause: Cause
    watch: str = ""
    flow: str = ""
    """The flow to run; the project's when empty."""
    parameters: dict[str, Any] = {}
    branch: str = ""
    paths: tuple[str, ...] = ()
    kinds: tuple[AlertKind, ...] = ()
    min_rows: int = 0
    zone: str = "UTC"
    catch_up_s: float | None = None
    debounce_s: float = 0.0
    debounce_at_most_s: float | None = None
    cooldown_s: float = 0.0
    per_week: int | None = None
    seconds_per_week: float | None = None

    def options(self) -> Options:
        """Return what the file says besides cause, watch, flow and parameters."""
        return cast("Options", {name: getattr(self, name) for name in Options.__annotations__})


class MonitorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`monitor.toml`: what is watched, and what asks for a retraining."""

    window_s: float = 86_400.0
    label_delay_s: float = 86_400.0
    false_alarms_per_year: float = 1.0
    tolerance: float = 0.0
    repeat_s: float = 1_209_600.0
    triggers: dict[str, TriggerFile] = {}


def read_release_file(folder: Path) -> ReleaseFile:
    """Read `release.toml`; the defaults when the project has none.

    Raises:
        Invalid: It cannot be read, or says something unknown.
    """
    return _read(folder / RELEASE_FILE, ReleaseFile)


def read_monitor_file(folder: Path) -> MonitorFile:
    """Read `monitor.toml`; the defaults when the project has none.

    Raises:
        Invalid: It cannot be read, or says something unknown.
    """
    return _read(folder / MONITOR_FILE, MonitorFile)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except FileNotFoundError:
        return kind()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise unreadable(path.name, error, kind) from error
