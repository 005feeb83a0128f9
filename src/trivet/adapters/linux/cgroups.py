"""Limits of a container, of both versions of control groups.

A group's limit is the tightest of its own and those above it, as far as they can be seen. What is
used is counted where the limit stands. Formats: the kernel's `cgroup-v1/` and `cgroup-v2.rst`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

_NO_LIMIT: Final = 1 << 60
"""The first version writes "no limit" as the largest multiple of a page."""


class Group(msgspec.Struct, frozen=True):
    """A control group that limits something."""

    folder: Path
    is_unified: bool
    limit: float
    """Bytes of memory, or a number of processors."""

    def memory_bytes(self) -> int:
        """Return the memory in use, without files that the kernel can drop."""
        name, dropped = "memory.usage_in_bytes", "total_inactive_file"
        if self.is_unified:
            name, dropped = "memory.current", "inactive_file"
        used = int((self.folder / name).read_text())
        return max(0, used - _stat(self.folder / "memory.stat", dropped))

    def cpu_s(self) -> float:
        """Return the processor time that was used so far, in seconds."""
        if self.is_unified:
            return _stat(self.folder / "cpu.stat", "usage_usec") / 1e6
        return int((self.folder / "cpuacct.usage").read_text()) / 1e9


class _Mount(msgspec.Struct, frozen=True):
    point: Path
    root: str
    """Which group the uppermost folder of the mount is."""
    is_unified: bool
    controllers: frozenset[str]


def memory_group(root: Path = Path("/")) -> Group | None:
    """Return the group that limits this process's memory, None when nothing does."""
    return _tightest(root, "memory", {False: _memory_limit_1, True: _memory_limit_2})


def cpu_group(root: Path = Path("/")) -> Group | None:
    """Return the group that limits this process's processors, None when nothing does."""
    found = _tightest(root, "cpu", {False: _cpu_limit_1, True: _cpu_limit_2})
    if found is None or found.is_unified or (found.folder / "cpuacct.usage").is_file():
        return found
    # The first version may count the time in a tree of its own.
    counted = _folders(root, "cpuacct")
    return msgspec.structs.replace(found, folder=counted[0][0]) if counted else None


def _tightest(
    root: Path, controller: str, read: Mapping[bool, Callable[[Path], float | None]]
) -> Group | None:
    groups: list[Group] = []
    for folder, is_unified in _folders(root, controller):
        try:
            limit = read[is_unified](folder)
        except (OSError, ValueError):
            continue
        if limit is not None:
            groups.append(Group(folder, is_unified, limit))
    return min(groups, key=lambda group: group.limit, default=None)


def _memory_limit_1(folder: Path) -> float | None:
    limit = int((folder / "memory.limit_in_bytes").read_text())
    return limit if limit < _NO_LIMIT else None


def _memory_limit_2(folder: Path) -> float | None:
    text = (folder / "memory.max").read_text().strip()
    return None if text == "max" else int(text)


def _cpu_limit_1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())


def _cpu_limit_2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _folders(root: Path, controller: str) -> list[tuple[Path, bool]]:
    """Return the folders of this process's group and of those above it, from within."""
    try:
        paths = dict(_paths((root / "proc/self/cgroup").read_text()))
        mounts = list(_mounts((root / "proc/self/mountinfo").read_text()))
    except (OSError, ValueError):
        return []
    folders: list[tuple[Path, bool]] = []
    for mount in mounts:
        path = paths.get("" if mount.is_unified else controller)
        if path is not None and (mount.is_unified or controller in mount.controllers):
            top = root / str(mount.point).lstrip("/")
            folders += [(folder, mount.is_unified) for folder in _upwards(top, mount.root, path)]
    return folders


def _upwards(top: Path, mounted: str, path: str) -> Iterator[Path]:
    """Yield the folder of a group and those above it, up to the top of the mount."""
    inner = path[len(mounted) :] if path.startswith(mounted) else ""
    folder = top / inner.lstrip("/")
    # A container sees the path as the host names it, but only its own part of the tree.
    if ".." in folder.parts or not folder.is_dir():
        folder = top
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _paths(text: str) -> Iterator[tuple[str, str]]:
    """Read `/proc/self/cgroup`: the group by controller, '' for the second version."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mounts(text: str) -> Iterator[_Mount]:
    """Read `/proc/self/mountinfo`: where control groups are mounted."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            _, _, _, root, point, *_ = before.split(" ")
            controllers = frozenset(options.split(","))
            yield _Mount(Path(point), root, kind == "cgroup2", controllers)


def _stat(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
