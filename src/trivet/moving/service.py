"""The moving room's service: imports, and what is held here for an export."""

from collections.abc import Callable

from trivet.core.clock import Clock
from trivet.core.facts import Scope
from trivet.core.moving import Holdings, Receiver
from trivet.core.ports import Stores
from trivet.moving.bringing import Bringing
from trivet.moving.facts import Counts, Moved
from trivet.moving.leaving import ProjectHoldings
from trivet.moving.sending import Sending
from trivet.moving.wishes import Wishes


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

    def send(
        self,
        receiver: Receiver,
        experiments: tuple[str, ...],
        *,
        is_dry: bool,
        tell: Callable[[Counts], None],
    ) -> Moved:
        """Send what programs reported here. Doing it again sends what is new, once.

        Args:
            receiver: Where it goes.
            experiments: Only those of these names; all when empty.
            is_dry: Only say what there is to send.
            tell: Told how far it is.

        Raises:
            NotFound: There is no experiment of a name that was asked for.
            Unavailable: The other store does not answer. Do it again: it goes on where it was.
        """
        own = ProjectHoldings(self._stores, self._scope, self._clock)
        return Sending(own, receiver, experiments, is_dry=is_dry, tell=tell).send()
