"""Which package answered which prediction: kept in memory, read once from the log.

A label must be checked against the model that it is about. Looking each one up in the log would
read the log anew for every label; here it is read on from where the last look ended.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from trivet.core.ports import Log
from trivet.serving.facts import PREDICTIONS
from trivet.serving.records import decode_prediction

_MOST: Final = 1_000_000


class KnownPredictions:
    """Identifiers of logged predictions and the package that answered each.

    The newest million are kept; about 150 bytes each.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at: str | None = None
        self._packages: OrderedDict[str, str] = OrderedDict()
        self._names: dict[str, str] = {}

    def packages_of(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the package of each identifier that is in the log; the others are left out."""
        wanted = tuple(ids)
        if any(identifier not in self._packages for identifier in wanted):
            self._read_on()
        return {i: self._packages[i] for i in wanted if i in self._packages}

    def _read_on(self) -> None:
        for position, record in self._log.read(PREDICTIONS, after=self._at):
            self._at = position
            found = decode_prediction(record)
            # One text per package, however many predictions name it.
            package = self._names.setdefault(found.package, found.package)
            self._packages[found.id] = package
            if len(self._packages) > _MOST:
                self._packages.popitem(last=False)
