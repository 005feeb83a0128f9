"""Single bits flipped in stored files, to see that a store finds them and names the file."""

import os
import random
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from trivet.core.errors import TrivetError
from trivet.core.ports import Damage


@contextmanager
def flipped(place: Path, bit: int) -> Generator[None]:
    """Flip one bit of a file, and back."""
    _flip(place, bit)
    try:
        yield
    finally:
        _flip(place, bit)


def _flip(place: Path, bit: int) -> None:
    with place.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ (1 << (bit % 8))]))


def check_flips(
    folder: Path,
    damage_of: Callable[[], Iterable[Damage]],
    content_of: Callable[[], object],
    *,
    rounds: int,
    seed: int = 7,
) -> int:
    """Flip bits at random places of all files below a folder; return how many were tried.

    Each must be found by `damage_of`, under the file's name, and `content_of` must fail or return
    what it returned before. A third of the flips falls on the first bytes of a file, a third on
    the last, where formats keep what matters. `TRIVET_CRASH_ROUNDS` multiplies `rounds`.
    """
    rounds *= int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
    intact = content_of()
    assert not list(damage_of()), "the store was damaged before any bit was flipped"
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    choose = random.Random(seed)  # noqa: S311  # a test shall fail the same way twice
    for index in range(rounds):
        place = choose.choice(files)
        size = place.stat().st_size * 8
        near = min(size, 8 * 600)
        low, high = [(0, near), (size - near, size), (0, size)][index % 3]
        bit = choose.randrange(low, high)
        with flipped(place, bit):
            found = list(damage_of())
            assert any(place.name in one.name for one in found), (
                f"bit {bit} of {place.relative_to(folder)} was flipped; found: {found}"
            )
            try:
                served = content_of()
            except TrivetError:
                continue
            assert served == intact, f"bit {bit} of {place.relative_to(folder)} was served"
    assert content_of() == intact
    return rounds
