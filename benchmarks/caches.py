"""The suite of edits put before Trivet and before other caches.

Every project is run, run again as it is, changed, and run a third time. Right is a cache whose
answers are all what the code says, that remembers when nothing changed, and that does not run again
for a change of nothing. Projects that use words of Trivet's own are left out; an edit that a system
cannot run at all is not right, and counted by itself.
"""

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts import absent
from benchmarks.peers.installing import Missing, label_of
from benchmarks.peers.talking import command_of

PEERS = ("redun", "hamilton", "joblib", "flyte", "zenml")
SLOW = {"redun", "flyte"}
"""Asked only about every so-manieth edit when the figures may be rough."""
EVERY = 8
SLOWEST = {"zenml"}
"""Left out then."""
PATIENCE_S = 900


class Found(NamedTuple):
    """How a system did: its verdict on each edit, by name."""

    label: str
    verdicts: dict[str, str]
    """`right`, `stale`, `wasted` or `cannot`."""

    @property
    def right(self) -> int:
        return self.count("right")

    def count(self, verdict: str) -> int:
        return Counter(self.verdicts.values())[verdict]

    def told(self) -> str:
        """Say it in one line, with the edits that were answered with an old result."""
        stale = [name for name, verdict in self.verdicts.items() if verdict == "stale"]
        names = f" ({', '.join(stale[:6])}{', …' if len(stale) > 6 else ''})" if stale else ""
        cannot = [name for name, verdict in self.verdicts.items() if verdict == "cannot"]
        not_possible = f" ({', '.join(cannot[:6])})" if cannot else ""
        return (
            f"{self.count('stale')} stale{names}, {self.count('wasted')} run for nothing, "
            f"{len(cannot)} not possible{not_possible}"
        )


def rows(quick: bool) -> list[dict[str, Any]]:
    """Count the edits that each system answered rightly."""
    try:
        from benchmarks.edits import suite
    except ImportError:
        return [absent("edits answered rightly", "not measured: there is no suite of edits")]
    edits = [edit for edit in suite.EDITS if is_for_all(edit)]
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        ours = tried_by_trivet(suite, edits, Path(scratch) / "trivet")
        found = [row_of(ours)]
        for name in [name for name in PEERS if not (quick and name in SLOWEST)]:
            some = edits[::EVERY] if quick and name in SLOW else edits
            try:
                theirs = tried_by_peer(name, some, Path(scratch) / name)
            except Missing as error:
                reason = f"not measured: {error}"
                found.append(absent(f"edits answered rightly, {label_of(name)}", reason))
            else:
                found.append(row_of(ours, theirs))
    return found


def is_for_all(edit: Any) -> bool:
    """Say whether any system could be asked: nothing in the project speaks of Trivet."""
    texts = (*edit.files.values(), edit.imports, edit.argument)
    return "declared" not in edit.tags and not any("trivet" in text for text in texts)


def row_of(ours: Found, theirs: Found | None = None) -> dict[str, Any]:
    """Pair Trivet's count with a peer's, over the edits that both were asked about."""
    asked = ours if theirs is None else Found("", dict.fromkeys(theirs.verdicts, ""))
    same = Found(ours.label, {name: ours.verdicts[name] for name in asked.verdicts})
    total = len(asked.verdicts)
    told = same.told() if theirs is None else f"{theirs.label}: {theirs.told()}"
    return {
        "what": f"edits answered rightly, of {total}",
        "value": same.right,
        "unit": "edits",
        "target": total,
        "floor": None,
        "ratio": round(same.right / total, 3),
        "ok": same.right == total,
        "peer": None if theirs is None else [theirs.label, theirs.right],
        "better": "high",
        "mode": told,
    }


def tried_by_trivet(suite: Any, edits: Sequence[Any], folder: Path) -> Found:
    folder.mkdir()
    verdicts: dict[str, str] = {}
    for outcome in suite.try_trivet(folder, edits):
        remembered = outcome.statuses[1] == "remembered"
        wasted = not remembered or (outcome.reran and not outcome.edit.reruns)
        verdicts[outcome.edit.name] = verdict(outcome.is_stale, wasted)
    return Found("Trivet", verdicts)


def verdict(is_stale: bool, is_wasted: bool) -> str:
    return "stale" if is_stale else "wasted" if is_wasted else "right"


def tried_by_peer(name: str, edits: Sequence[Any], folder: Path) -> Found:
    """Put the edits before a peer.

    Raises:
        Missing: It cannot be installed, or its process fails as a whole.
    """
    folder.mkdir()
    places = [folder / f"project{number:03}" for number in range(len(edits))]
    for edit, place in zip(edits, places, strict=True):
        place.mkdir()
        edit.write(place)
        asked = {"argument": edit.argument, "imports": edit.imports}
        (place / "asked.json").write_text(json.dumps(asked), "utf-8")
    rounds = [answers(name, folder), answers(name, folder)]
    for edit, place in zip(edits, places, strict=True):
        edit.apply(place)
    rounds.append(answers(name, folder))
    judged = zip(edits, *rounds, strict=True)
    verdicts = {edit.name: judge(edit, told) for edit, *told in judged}
    return Found(label_of(name), verdicts)


def judge(edit: Any, told: Sequence[dict[str, Any]]) -> str:
    """Return the verdict on one edit; a function that cannot be watched counts as remembered.

    With an empty cache no answer can be stale: a wrong one there says that the peer was asked in a
    way that is not its own, and is not held against it as stale.
    """
    if any("error" in one for one in told) or told[0]["answer"] != told[0]["truth"]:
        return "cannot"
    is_stale = any(one["answer"] != one["truth"] for one in told)
    again, changed = (one["calls"] > 0 for one in told[1:])
    return verdict(is_stale, again or (changed and not edit.reruns))


def answers(name: str, folder: Path) -> list[dict[str, Any]]:
    return list(_answers(name, folder))


def _answers(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    line, variables = command_of(name, folder, "edits")
    quiet = {**variables, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            line,
            env=quiet,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{label_of(name)} took more than {PATIENCE_S} s over the edits") from error
    if done.returncode:
        raise Missing(f"{label_of(name)}: {(done.stderr.strip().splitlines() or [''])[-1][:200]}")
    for answer in done.stdout.splitlines():
        yield json.loads(answer)
