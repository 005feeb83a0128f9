"""The moving room's service: imports, and what is held here for an export."""

from collections.abc import Callable

from trivet.core.clock import Clock
from trivet.core.facts import Scope
from trivet.core.moving import Holdings
from trivet.core.ports import Stores
from trivet.moving.bringing import Bringing, Wishes
from trivet.moving.facts import Counts, Moved


class MovingService:
    """Runs that come in and go out, of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: For the times that people see.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock

    def bring(self, holdings: Holdings, wishes: Wishes, tell: Callable[[Counts], None]) -> Moved:
        """Bring in what another store holds. Doing it again brings what is new there, once.

        Args:
            holdings: The other store; whoever opened it closes it.
            wishes: How much of it.
            tell: Told how far it is.

        Raises:
            NotFound: There is no experiment of a name that was asked for.
            Unavailable: The store does not answer. Do it again: it goes on where it was.
            Unsupported: It is of a version that cannot be read.
        """
        return Bringing(self._stores, self._scope, self._clock, holdings, wishes, tell).bring()
