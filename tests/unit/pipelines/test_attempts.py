import signal
import threading
import time

import pytest

from trivet.core.errors import Conflict, Unavailable
from trivet.pipelines.attempts import call_with_retries, time_limit
from trivet.pipelines.context import Definition


def a_step(errors: list[Exception], retries: int) -> Definition:
    def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return Definition(kind="step", name="work", function=work, retries=retries)


@pytest.mark.parametrize("error", [OSError("x"), Unavailable("x"), Conflict("x")])
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    seen: list[Exception] = []
    assert call_with_retries(a_step([error], 1), (), {}, seen.append) == "done"
    assert seen == [error]


def test_the_last_error_comes_out_as_it_is() -> None:
    errors: list[Exception] = [OSError("1"), OSError("2"), OSError("3")]
    with pytest.raises(OSError, match="3"):
        call_with_retries(a_step(errors, 2), (), {}, lambda error: None)


def test_an_interruption_is_not_tried_again() -> None:
    def work() -> None:
        raise KeyboardInterrupt

    definition = Definition(kind="step", name="work", function=work, retries=3)
    with pytest.raises(KeyboardInterrupt):
        call_with_retries(definition, (), {}, lambda error: pytest.fail("tried again"))


def test_a_limit_inside_a_limit_leaves_the_outer_one_in_force() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def work() -> None:
        with time_limit(0.2, "outer"):
            with time_limit(30, "inner"):
                pass
            time.sleep(30)

    with pytest.raises(Unavailable, match="'outer'"):
        work()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_in_the_very_moment_of_the_end_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGALRM)
    set_timer = signal.setitimer

    def set_late(which: int, seconds: float) -> tuple[float, float]:
        if not seconds:
            signal.raise_signal(signal.SIGALRM)
        return set_timer(which, seconds)

    monkeypatch.setattr(signal, "setitimer", set_late)
    with time_limit(30, "work"):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_error_of_the_block_is_not_covered_up() -> None:
    with pytest.raises(LookupError), time_limit(30, "work"):
        raise LookupError


def test_in_another_thread_the_limit_is_felt_at_the_end() -> None:
    caught: list[Unavailable] = []

    def work() -> None:
        try:
            with time_limit(0.01, "work"):
                time.sleep(0.05)
        except Unavailable as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [error.code for error in caught] == ["step-timeout"]


def test_a_limit_is_kept_although_a_step_inside_may_take_longer() -> None:
    before = signal.getsignal(signal.SIGALRM)
    tries: list[int] = []

    def patient() -> None:
        tries.append(1)
        time.sleep(30)

    inner = Definition(kind="step", name="inner", function=patient, timeout_s=60, retries=3)

    def work() -> object:
        return call_with_retries(inner, (), {}, lambda error: None)

    outer = Definition(kind="step", name="outer", function=work, timeout_s=0.2)
    with pytest.raises(Unavailable, match="'outer' took longer"):
        call_with_retries(outer, (), {}, lambda error: None)
    assert tries == [1]  # whose time is over is not tried again inside it
    assert signal.getsignal(signal.SIGALRM) == before
