"""`map` over ten thousand items: how long it takes, and whether memory stays flat."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts import absent
from benchmarks.peers.installing import Missing, label_of
from benchmarks.peers.talking import Talk

ITEMS = 10_000
TARGET_S = 10.0
TARGET_MB = 20.0
"""Memory counts as flat when it grows by less than this from the thousandth item to the last."""
PEERS = {"redun": 1_000}
"""How many items a peer gets; its time is multiplied up."""


class Mapped(NamedTuple):
    """One run over so many items."""

    items: int
    seconds: float
    grown_mb: float
    peak_mb: float

    @property
    def seconds_for_all(self) -> float:
        return self.seconds * ITEMS / self.items


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure the time, and the growth of memory between a tenth of the items and the end."""
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        ours = mapped("trivet_mapped", folder, ITEMS)
        found = rows_of(ours, None)
        for name, items in PEERS.items():
            try:
                theirs = mapped(name, folder, items // 5 if quick else items)
            except Missing as error:
                what = f"map over {ITEMS:,} items, {label_of(name)}"
                found.append(absent(what, f"not measured: {error}"))
            else:
                found += rows_of(ours, (label_of(name), theirs))
    return found


def mapped(name: str, folder: Path, items: int) -> Mapped:
    with Talk(name, folder / name) as talk:
        talk.run(10, 1)
        told = talk.run(items - 1, 2)
    return Mapped(items, told["seconds"], told["grown_mb"], told["peak_mb"])


def rows_of(ours: Mapped, peer: tuple[str, Mapped] | None) -> list[dict[str, Any]]:
    mode = (
        f"trivial step, in process, each result by itself; peak {ours.peak_mb:,.0f} MB; most of "
        "what grows is the ledger's page cache, which ends at 64 MiB"
    )
    time_peer = None
    if peer is not None:
        label, theirs = peer
        mode = f"{label}: over {theirs.items:,} items, times {ITEMS / theirs.items:g}"
        time_peer = [label, round(theirs.seconds_for_all, 1)]
    common: dict[str, Any] = {"floor": None, "better": "low", "mode": mode}
    time = {
        "what": f"map over {ITEMS:,} items: time",
        "value": round(ours.seconds, 2),
        "unit": "s",
        "target": TARGET_S,
        "ratio": round(ours.seconds / TARGET_S, 3),
        "ok": ours.seconds <= TARGET_S,
        "peer": time_peer,
        **common,
    }
    memory = {
        "what": f"map over {ITEMS:,} items: memory grown behind the first tenth",
        "value": round(ours.grown_mb, 1),
        "unit": "MB",
        "target": TARGET_MB,
        "ratio": round(ours.grown_mb / TARGET_MB, 3),
        "ok": ours.grown_mb <= TARGET_MB,
        "peer": None,
        **common,
    }
    return [time] if peer else [time, memory]
