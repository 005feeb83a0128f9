"""What the serving process counts about itself: statuses, latency, failures."""

import bisect
from collections import Counter
from collections.abc import Mapping
from typing import Final

from trivet.core.errors import TrivetError
from trivet.http.application import Observer

_EDGES_US: Final = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 200_000, 1_000_000)


class Meter(Observer):
    """Counters of one process; fixed size whatever the traffic."""

    def __init__(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._latency = [0] * (len(_EDGES_US) + 1)
        self._sum_us = 0
        self._failures: Counter[str] = Counter()
        self._shadow_failures = 0
        self._shadows_skipped = 0

    def count(self, status: int, nanoseconds: int) -> None:
        """Count an answered request and the time it took here."""
        micros = nanoseconds // 1000
        self._statuses[status] += 1
        self._latency[bisect.bisect_left(_EDGES_US, micros)] += 1
        self._sum_us += micros

    def fail(self, error: BaseException) -> None:
        """Count an error that nobody foresaw, by its type."""
        self._failures[type(error).__name__] += 1

    def fail_shadow(self, error: TrivetError) -> None:
        """Count a failure of a shadow."""
        self._shadow_failures += 1
        self.fail(error)

    def skip_shadow(self) -> None:
        """Count a request that no shadow doubled because too many were waiting."""
        self._shadows_skipped += 1

    def prometheus(self, dropped: int, not_loaded: Mapping[str, TrivetError]) -> str:
        """Write everything in the Prometheus text format (version 0.0.4)."""
        lines = ["# TYPE trivet_requests_total counter"]
        for status, count in sorted(self._statuses.items()):
            lines.append(f'trivet_requests_total{{status="{status}"}} {count}')
        lines.append("# TYPE trivet_request_seconds histogram")
        total = 0
        for edge, count in zip(_EDGES_US, self._latency, strict=False):
            total += count
            lines.append(f'trivet_request_seconds_bucket{{le="{edge / 1e6:g}"}} {total}')
        total += self._latency[-1]
        lines.append(f'trivet_request_seconds_bucket{{le="+Inf"}} {total}')
        lines.append(f"trivet_request_seconds_sum {self._sum_us / 1e6:.6f}")
        lines.append(f"trivet_request_seconds_count {total}")
        lines.append("# TYPE trivet_failures_total counter")
        for name, count in sorted(self._failures.items()):
            lines.append(f'trivet_failures_total{{type="{name}"}} {count}')
        for name, value in (
            ("trivet_predictions_dropped_total", dropped),
            ("trivet_shadow_failures_total", self._shadow_failures),
            ("trivet_shadows_skipped_total", self._shadows_skipped),
        ):
            lines += [f"# TYPE {name} counter", f"{name} {value}"]
        lines.append("# TYPE trivet_release_not_loaded gauge")
        for endpoint in sorted(not_loaded):
            lines.append(f'trivet_release_not_loaded{{endpoint="{endpoint}"}} 1')
        return "\n".join(lines) + "\n"
