"""Works in one store until it is killed, and says what it was promised.

Arguments: folder, store (blobs, log, series, tables or unsynced), how many pieces of work, and
`leave` to end without closing anything.
"""

import os
import random
import sys
from array import array
from pathlib import Path

from trivet.core.ports import Points, SeriesKey

LARGE_BYTES = 1 << 20
EVERY_BLOB = 7


def content(number: int) -> bytes:
    size = LARGE_BYTES if number % EVERY_BLOB == 3 else number * 37 % 5000
    return random.Random(number).randbytes(size)


class Blobs:
    def __init__(self, folder: Path) -> None:
        from trivet.adapters.files.blobs import FileBlobs

        self.store = FileBlobs(folder / "blobs")

    def do(self, number: int) -> str:
        return f"{number} {self.store.put(content(number))}"

    def close(self) -> None: ...


class Log:
    def __init__(self, folder: Path) -> None:
        from trivet.adapters.files.log import FileLog

        self.store = FileLog(folder / "log", rotate_bytes=20_000)

    def do(self, number: int) -> str:
        self.store.append("a", [b"%d %d" % (number, part) + b"." * 300 for part in range(3)])
        return f"{number}"

    def close(self) -> None:
        self.store.close()


class Series:
    synced = True

    def __init__(self, folder: Path) -> None:
        from trivet.adapters.files.series import FileSeries

        self.store = FileSeries(folder / "series", rotate_bytes=20_000)

    def do(self, number: int) -> str:
        columns = array("q", [number]), array("q", [number]), array("d", [number / 3])
        self.store.append(
            [(SeriesKey("run", name), Points(*columns)) for name in "abc"], synced=self.synced
        )
        if number % 10 == 9:
            self.store.compact()
        return f"{number}"

    def close(self) -> None:
        self.store.close()


class Unsynced(Series):
    """Appends that nobody waits for: a kill takes none of them, a power cut the newest."""

    synced = False


class Tables:
    def __init__(self, folder: Path) -> None:
        from trivet.adapters.delta.tables import DeltaTables

        self.store = DeltaTables(folder / "tables")

    def do(self, number: int) -> str:
        import polars as pl

        mode = "overwrite" if number % 5 == 0 else "append"
        version = self.store.write("t", pl.DataFrame({"i": [number] * 3}), mode=mode)
        return f"{number} {version.version} {version.rows} {version.digest}"

    def close(self) -> None: ...


WORK = {"blobs": Blobs, "log": Log, "series": Series, "tables": Tables, "unsynced": Unsynced}


def main() -> None:
    folder, store, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    work = WORK[store](folder)
    print("ready", flush=True)
    for number in range(count):
        print(work.do(number), flush=True)
    if sys.argv[4:] == ["leave"]:
        os._exit(0)
    work.close()


if __name__ == "__main__":
    main()
