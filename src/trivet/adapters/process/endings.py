"""What the caller is told of work that was ended, or whose worker died."""

import signal

from trivet.core.errors import Unavailable


def took_too_long(limit_s: float) -> Unavailable:
    """Say that work was ended at its time limit."""
    return Unavailable(
        f"the work took longer than its {limit_s} seconds; its worker was ended",
        code="work-timeout",
        hint="Raise the time limit, or give the work less to do.",
    )


def took_too_much(taken_mib: float, limit_mib: int) -> Unavailable:
    """Say that work was ended at its limit of memory."""
    return Unavailable(
        f"the work took {taken_mib:.0f} MiB of memory, its limit is {limit_mib}; its worker was "
        "ended",
        code="worker-memory",
        hint="Raise memory_mib, or give the work less at a time.",
        detail={"memory_mib": round(taken_mib), "limit_mib": limit_mib},
    )


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"


def died(exit_code: int | None) -> Unavailable:
    """Say how a worker ended that nobody told to.

    Args:
        exit_code: Its exit code, negative for a signal; None when nobody knows.
    """
    reason, hint = "its process is gone", "See the output for its last words."
    if exit_code is not None and exit_code >= 0:
        reason = f"its process ended with exit code {exit_code}"
        hint = "Something in the work ends the process: look for os._exit."
    elif exit_code is not None:
        name = _name_of(-exit_code)
        reason = f"its process was killed by {name}"
        if name == "SIGKILL":
            hint = (
                "Somebody killed it: often the system, for want of memory. Then give the work less "
                "at a time, or say memory_mib so that less runs beside it."
            )
        else:
            hint = "Native code crashed, or somebody sent the signal; see the output."
    return Unavailable(
        f"the worker died in the middle of its work: {reason}",
        code="worker-died",
        hint=hint,
        detail={"exit_code": exit_code},
    )
