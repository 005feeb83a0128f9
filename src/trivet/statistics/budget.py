"""A holdout answers only so often: each pass or fail leaks a little of it to whoever tunes models.

The budget lives with the holdout, across runs and people.
"""

import math
from dataclasses import dataclass, replace

from trivet.core.errors import Invalid, Refused
from trivet.statistics.arrays import check_share


@dataclass(frozen=True)
class Look:
    """One question asked of a holdout: what was judged, at which one-sided level, and the answer.

    `passed` is True once the answer was a yes.
    """

    name: str
    alpha: float
    passed: bool = False


@dataclass(frozen=True)
class LookBudget:
    """How often a holdout may still be asked, and how strictly.

    Look k is judged at alpha / (k (k + 1)); these sum to alpha however many looks there are,
    so a model that is no better passes any of them with chance at most alpha, and nobody needs
    to say beforehand how many there will be (alpha spending by a union bound; compare the
    ladder of Blum & Hardt 2015 and the shelf life of ease.ml/ci, Renggli et al. 2019).

    A yes parts the ways: what is made after it need not be what would have been made after a no.
    So looks after a yes share the level that the yes was won at, and the count begins anew within
    it. If that yes was false, its level is already paid for; if it was true, nothing was spent on
    it, and it may be spent once on what follows (as in the graphical procedures of Bretz et al.
    2009). By induction over all courses that answers can take, the chance of any false pass is at
    most alpha, for whoever makes models from yes and no alone.

    Attributes:
        alpha: Chance of one false pass over all looks, in (0, 1).
        shelf_life: Looks after which fresh labels are required, >= 1; None for no fixed end.
        looks: Those already taken, oldest first.

    Example:
        >>> level, after = LookBudget(alpha=0.05).spend("candidate-1")
        >>> level, round(after.next_alpha, 5)
        (0.025, 0.00833)
    """

    alpha: float = 0.05
    shelf_life: int | None = None
    looks: tuple[Look, ...] = ()

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        if self.shelf_life is not None and self.shelf_life < 1:
            raise Invalid("shelf_life must be at least 1, or None for no fixed end")

    @property
    def spent(self) -> float:
        """Share of alpha already used, added up over the looks."""
        return math.fsum(look.alpha for look in self.looks)

    @property
    def remaining(self) -> int | None:
        """Looks left, or None when there is no fixed end."""
        return None if self.shelf_life is None else max(0, self.shelf_life - len(self.looks))

    @property
    def is_exhausted(self) -> bool:
        """Whether fresh labels are required before the next look."""
        return self.remaining == 0

    @property
    def next_alpha(self) -> float:
        """The level that the next new look would be judged at; 0 when exhausted."""
        if self.is_exhausted:
            return 0.0
        shared, k = self.alpha, 1
        for look in self.looks:
            shared, k = (look.alpha, 1) if look.passed else (shared, k + 1)
        return shared / (k * (k + 1))

    def spend(self, name: str) -> tuple[float, "LookBudget"]:
        """Take a look.

        Args:
            name: What is judged, best its digest. Judging the same thing again learns nothing
                new: it returns the level of the first time and leaves the budget as it is.

        Returns:
            The one-sided level of this look, and the budget after it.

        Raises:
            Refused: The shelf life is over.
        """
        for look in self.looks:
            if look.name == name:
                return look.alpha, self
        if self.is_exhausted:
            raise Refused(
                f"this holdout has answered all of its {self.shelf_life} looks",
                code="looks-exhausted",
                hint="Label fresh rows, make them the holdout, and start a new budget.",
                detail={"findings": [look.name for look in self.looks]},
            )
        level = self.next_alpha
        return level, replace(self, looks=(*self.looks, Look(name, level)))

    def won(self, name: str) -> "LookBudget":
        """Note that what was judged under this name has passed; a second time changes nothing.

        A yes to something that was refused before, and judged again after other looks, is a yes
        in the place of the next look: what follows shares that look's level.

        Raises:
            Invalid: Nothing of this name was judged.
        """
        found = [look for look in self.looks if look.name == name]
        if not found:
            raise Invalid(f"no look was taken at {name!r}", hint="Spend a look on it first.")
        if any(look.passed for look in found):
            return self
        if self.looks[-1].name == name:
            return replace(self, looks=(*self.looks[:-1], replace(found[-1], passed=True)))
        return replace(self, looks=(*self.looks, Look(name, self.next_alpha, passed=True)))
