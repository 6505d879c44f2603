"""The progress bar: what it draws on a terminal, and that it says nothing elsewhere."""

from __future__ import annotations

import io

import pytest

from citysearch.progress import Bar, bar, clock


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_yields_every_item_and_counts_it() -> None:
    progress = bar([3, 1, 2], label="crops")
    assert list(progress) == [3, 1, 2]
    assert (progress.done, progress.total) == (3, 3)


def test_draws_the_label_the_counts_and_the_note_on_a_terminal() -> None:
    screen = Terminal()
    with Bar(total=4, label="epochs", stream=screen) as progress:
        progress.advance(4, note="loss 0.31")
    last = screen.getvalue().split("\r")[-1]
    assert "epochs [" in last and "4/4" in last and "loss 0.31" in last and last.endswith("\n")


def test_is_silent_where_the_stream_is_no_terminal() -> None:
    pipe = io.StringIO()
    list(Bar(range(5), stream=pipe))
    assert pipe.getvalue() == ""


def test_is_silent_when_told() -> None:
    screen = Terminal()
    list(Bar(range(5), shown=False, stream=screen))
    assert screen.getvalue() == ""


def test_serves_as_a_callback_that_reports_done_and_total() -> None:
    screen = Terminal()
    progress: Bar[int] = Bar(label="match", stream=screen)
    progress.update(2, 8)
    assert "match [#######....................." in str(progress) and "2/8" in str(progress)


def test_shows_only_the_count_when_the_total_is_unknown() -> None:
    progress = Bar(iter([1, 2]), label="rows", stream=Terminal())
    list(progress)
    assert str(progress).startswith("rows 2 ")


def test_leaves_the_line_when_the_loop_breaks_off() -> None:
    screen = Terminal()
    loop = iter(Bar([1, 2], stream=screen))
    next(loop)
    loop.close()  # what `break` and an exception in the loop's body come to
    assert screen.getvalue().endswith("\n")


def test_draws_at_most_ten_times_a_second() -> None:
    screen = Terminal()
    list(Bar(range(100_000), stream=screen))
    assert screen.getvalue().count("\r") < 100


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3600, "1:00:00"), (-3, "0:00")])
def test_writes_times_as_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text
