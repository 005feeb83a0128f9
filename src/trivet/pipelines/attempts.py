"""Calling a user's function: with a time limit, and again after an error."""

import math
import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from trivet.core.errors import Conflict, TrivetError, Unavailable
from trivet.pipelines.context import Definition

_LONGEST_PAUSE_S = 300.0
_until: ContextVar[float] = ContextVar("trivet.pipelines.until", default=math.inf)
"""When the first of the limits around this call is over, by the monotonic clock."""


def call_with_retries(
    definition: Definition,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    on_retry: Callable[[Exception], None],
) -> object:
    """Call a step's function; after an error try again as often as its options say.

    Between two attempts lies a pause that begins at `backoff_s` and doubles, at most five minutes,
    with jitter. What Trivet itself refuses is not tried again, unless trying again is what it
    advises; nor is anything once the time of a step around this one is over.
    """
    for attempt in range(definition.retries + 1):
        try:
            with time_limit(definition.timeout_s, definition.name):
                return definition.function(*args, **kwargs)
        except Exception as error:
            is_hopeless = isinstance(error, TrivetError) and not isinstance(
                error, Unavailable | Conflict
            )
            is_last = attempt == definition.retries or time.monotonic() >= _until.get()
            if is_last or is_hopeless:
                raise
            on_retry(error)
            pause_s = min(definition.backoff_s * 2**attempt, _LONGEST_PAUSE_S)
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads retries in time
    raise AssertionError  # the last attempt returned or raised


@contextmanager
def time_limit(seconds: float | None, name: str) -> Generator[None]:
    """Raise in the `with` block once it has run for `seconds`.

    In the main thread of a POSIX system the block is interrupted between two lines of Python;
    elsewhere, and in native code, the limit is felt when the block ends.

    Raises:
        Unavailable: The time is over (code `step-timeout`).
    """
    if seconds is None:
        yield
        return
    began = time.monotonic()
    token = _until.set(min(_until.get(), began + seconds))
    try:
        with _alarm(seconds, name):
            yield
    finally:
        _until.reset(token)
    if time.monotonic() - began > seconds:
        raise too_late(seconds, name)


@contextmanager
def _alarm(seconds: float, name: str) -> Generator[None]:
    can_interrupt = hasattr(signal, "setitimer")
    if not can_interrupt or threading.current_thread() is not threading.main_thread():
        yield
        return
    outer_s, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < outer_s <= seconds:  # a step around this one must end sooner: its alarm stays
        yield
        return
    is_over = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        if not is_over:  # else it would come in between what is put back
            raise too_late(seconds, name)

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            is_over = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_s:  # a step around this one has a limit, too
            left_s = outer_s - (time.monotonic() - began)
            signal.setitimer(signal.ITIMER_REAL, max(left_s, 1e-3))


def too_late(seconds: float, name: str) -> Unavailable:
    """Return the error for a step that took longer than it may."""
    return Unavailable(
        f"step {name!r} took longer than its {seconds} seconds",
        code="step-timeout",
        hint="Raise timeout_s, or give the step less to do.",
    )
