"""Work that many do alike is carried out by whoever is asked to."""

import threading

import pytest

from secagg.alike import alike, carried_out_by


class Recorder:
    def __init__(self):
        self.calls = []

    def __call__(self, function, /, *args, **kwargs):
        self.calls.append((args, kwargs))
        return function(*args, **kwargs)


@alike
def shifted(number: int, *, by: int) -> int:
    if by < 0:
        raise ValueError(by)
    return number + by


def test_without_a_runner_a_call_is_a_call() -> None:
    assert shifted(1, by=2) == 3


def test_within_the_runner_is_asked_and_afterwards_no_more() -> None:
    runner = Recorder()
    with carried_out_by(runner):
        assert shifted(1, by=2) == 3
    assert shifted(4, by=5) == 9
    assert runner.calls == [((1,), {"by": 2})]


def test_what_the_work_raises_is_raised_and_ends_the_runner() -> None:
    runner = Recorder()
    with pytest.raises(ValueError, match="-1"), carried_out_by(runner):
        shifted(1, by=-1)
    shifted(1, by=1)
    assert len(runner.calls) == 1


def test_another_thread_is_not_asked_through_the_runner() -> None:
    runner = Recorder()
    with carried_out_by(runner):
        other = threading.Thread(target=shifted, args=(1,), kwargs={"by": 2})
        other.start()
        other.join()
    assert runner.calls == []
