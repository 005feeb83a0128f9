"""A watcher in a process of its own, whose lease is short enough for a test."""

import sys
from pathlib import Path

from trivet.workspace import parts
from trivet.workspace.workspace import open as open_workspace

folder, lease_s = sys.argv[1], float(sys.argv[2])
assert lease_s < parts.LEASE_S
parts.LEASE_S = lease_s


def main() -> None:
    with open_workspace(folder, actor="trivet-watcher") as workspace:
        take = workspace.stores.journal.lease

        def told(name: str, **how: object) -> int | None:
            held = take(name, **how)  # type: ignore[arg-type]
            if held is not None and how["lease_s"]:
                Path(folder, "leader").write_text(str(parts.os.getpid()))
            return held

        workspace.stores.journal.lease = told  # type: ignore[method-assign]
        parts.run_watcher(workspace, print)


main()
