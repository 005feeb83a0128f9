"""A run under way on a terminal: one row per step, within the terminal's width and height."""

from hypothesis import given
from hypothesis import strategies as st

from trivet.cli.board import Board, Look, draw, milestone
from trivet.cli.output import width_of
from trivet.cli.progress import plain_line
from trivet.pipelines.running import StepEvent


def event(kind: str, step: str = "score", **more: object) -> StepEvent:
    return StepEvent(kind=kind, run="r", step=step, **more)  # type: ignore[arg-type]


def test_a_step_is_shown_running_then_with_what_it_took() -> None:
    board = Board(0.0)
    board.apply(event("started"), 1.0)
    board.apply(event("line", text="epoch 3"), 2.0)
    (line,) = draw(board, 4.5, Look())
    assert "score" in line
    assert "3.50 s" in line
    assert "epoch 3" in line
    board.apply(event("done", seconds=4.0, memory_bytes=300 << 20), 5.0)
    (line,) = draw(board, 9.0, Look())
    assert "✓" in line
    assert "4.00 s" in line
    assert "+300.0 MiB" in line


def test_many_calls_are_one_row_with_a_counter_a_pace_and_an_end() -> None:
    board = Board(0.0)
    board.apply(event("map", total=10_000), 0.0)
    for number in range(100):
        board.apply(event("started"), number / 10)
        board.apply(event("done", seconds=0.1), number / 10 + 0.1)
    (line,) = draw(board, 10.0, Look())
    assert "100 of 10,000" in line
    assert "10.0/s" in line
    assert "16 m 30 s left" in line


def test_what_is_remembered_says_what_it_saved() -> None:
    board = Board(0.0)
    board.apply(event("remembered", seconds=120.0), 1.0)
    (line,) = draw(board, 1.0, Look())
    assert "remembered" in line
    assert "saved 2 m 00 s" in line
    assert board.summary(1.0) == "0 run, 1 remembered (saved 2 m 00 s) in 1.00 s"


def test_a_failure_is_told_beside_its_step() -> None:
    board = Board(0.0)
    board.apply(event("started"), 0.0)
    board.apply(event("failed", seconds=0.1, error="ValueError: no column"), 0.1)
    (line,) = draw(board, 0.1, Look(has_unicode=False))
    assert line.startswith(" x ")
    assert "ValueError: no column" in line


def test_what_is_interrupted_did_not_fail() -> None:
    board = Board(0.0)
    stopped = event("failed", seconds=0.1, error="KeyboardInterrupt: ")
    row = board.apply(stopped, 0.1)
    assert board.summary(0.1) == "0 run, 0 remembered, 1 interrupted in 0.10 s"
    assert row is not None
    assert plain_line(stopped, row).split() == ["score", "interrupted", "0.10", "s"]
    board.apply(event("failed", error="ValueError: no column"), 0.1)
    assert ", 1 failed, 1 interrupted in" in board.summary(0.1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["started", "done", "remembered", "retried", "failed", "line", "map"]),
            st.sampled_from(
                ["a", "训练模型", "a_very_long_name_" * 3, "e\u0301", "f" * 9, "g", "h"]
            ),
            st.text(max_size=90),
        ),
        max_size=60,
    ),
    st.integers(20, 200),
    st.integers(4, 40),
    st.booleans(),
)
def test_whatever_happens_the_board_fits_the_terminal(
    events: list[tuple[str, str, str]], width: int, height: int, has_colour: bool
) -> None:
    board = Board(0.0)
    for number, (kind, step, raw) in enumerate(events):
        text = " ".join(raw.split())
        board.apply(event(kind, step, text=text, error=text, seconds=1.0, total=7), number / 7)
    lines = draw(board, 100.0, Look(width, height, has_colour))
    assert len(lines) <= max(2, height - 2)
    assert all(width_of(line) < max(width, 44) for line in lines)


def test_ten_thousand_calls_are_few_plain_lines() -> None:
    board = Board(0.0)
    shown = 0
    for _ in range(10_000):
        row = board.apply(event("done"), 0.0)
        assert row is not None
        shown += milestone(row)
    assert shown < 25
