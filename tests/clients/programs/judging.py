"""What every program here begins and ends with: functions marked as checks, and a line of JSON.

The programs run in the environment of an MLflow client, so this file needs the standard library
alone. `python fluent.py` runs all checks of a program; names after it run only those.
"""

import importlib.util
import itertools
import json
import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Check = Callable[[], None]
CHECKS: dict[str, Check] = {}
LEFT_OUT: dict[str, str] = {}
COUNT = itertools.count(1)


def check(*needs: str, since: int = 0, until: int = 99) -> Callable[[Check], Check]:
    """Mark a function as one check.

    Args:
        needs: Libraries beside MLflow that a user of this part of MLflow has. Where the
            environment lacks one, the check is left out, and the result says so.
        since: The first generation of the client that has this part of MLflow.
        until: The last one.
    """

    def mark(function: Check) -> Check:
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            LEFT_OUT[function.__name__] = "no " + ", ".join(missing)
        elif not since <= generation() <= until:
            LEFT_OUT[function.__name__] = f"not in MLflow {generation()}"
        else:
            CHECKS[function.__name__] = function
        return function

    return mark


def generation() -> int:
    """The major version of the client, or 0 where there is none."""
    version = client_version()
    return int(version.split(".")[0]) if version else 0


def client_version() -> str:
    if importlib.util.find_spec("mlflow") is None:
        return ""
    from mlflow.version import VERSION

    return str(VERSION)


def fresh(word: str) -> str:
    """A name that nobody else on the same server has."""
    return f"{word}-{next(COUNT)}-{secrets.token_hex(4)}"


@contextmanager
def refused(code: str, *fragments: str) -> Iterator[None]:
    """Ask for MLflow's own error with this code (or `one|another`) and words of its message."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        assert error.error_code in code.split("|"), (
            f"{error.error_code} instead of {code}: {error.message}"
        )
        for fragment in fragments:
            assert fragment in error.message, f"{fragment!r} is not in {error.message!r}"
    else:
        raise AssertionError(f"nothing was refused, though {code} was due")


def same(found: object, wanted: object) -> None:
    """Say both where they differ."""
    assert found == wanted, f"\n  found  {found!r}\n  wanted {wanted!r}"


def judge() -> None:
    """Run the checks, print a line of JSON, and leave with 1 if one of them failed."""
    wanted = sys.argv[1:] or list(CHECKS)
    failed: dict[str, str] = {}
    times_s: dict[str, float] = {}
    for name in wanted:
        begun = time.perf_counter()
        try:
            CHECKS[name]()
        except Exception as error:
            failed[name] = "".join(traceback.format_exception(error, limit=-4, chain=False))
        times_s[name] = round(time.perf_counter() - begun, 2)
    result = {
        "client": client_version(),
        "server": os.environ.get("MLFLOW_TRACKING_URI", ""),
        "passed": [name for name in wanted if name not in failed],
        "failed": failed,
        "left_out": LEFT_OUT,
        "times_s": times_s,
    }
    sys.stdout.flush()
    print("\n" + json.dumps(result), flush=True)
    # Threads of the client (of autologging, of traces) may still wait for something.
    os._exit(1 if failed else 0)
