"""What the facts of the tracking room make of documents, all kinds together."""

from typing import Final

from trivet.core.projecting import Projectors
from trivet.tracking import documents
from trivet.tracking.reporting import documents as reporting
from trivet.tracking.traces import amending as traces
from trivet.tracking.webhooks import documents as webhooks

PROJECTORS: Final[Projectors] = {
    **documents.PROJECTORS,
    **reporting.PROJECTORS,
    **traces.PROJECTORS,
    **webhooks.PROJECTORS,
}
