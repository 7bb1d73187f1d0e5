"""Progress where there is no terminal: what a job's log shows of long work."""

import pytest

from fgscore_stages import _run


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves on."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute_and_one_at_the_end(clock, capsys):
    with _run.Bars() as bars:
        for done in range(1, 11):
            clock[0] += 20
            bars("cub: sam", done, 10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"cub: sam: {n} of 10" for n in (4, 8, 10)]
    assert "/s" in lines[0] and "/s" not in lines[-1]


def test_short_work_gets_one_line(clock, capsys):
    with _run.Bars() as bars:
        for done in range(11):
            bars("cub: index", done, 10)
    assert capsys.readouterr().err == "cub: index: 10 of 10\n"
