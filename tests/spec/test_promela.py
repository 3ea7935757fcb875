"""Spin over the models of votes, releases and losses: what holds, and what must not."""

import pytest

from tests.spec import promela

pytestmark = pytest.mark.skipif(
    bool(promela.missing()), reason=f"no {promela.missing()} on this machine"
)


@pytest.mark.parametrize("run", promela.SOUND, ids=str)
def test_nothing_that_must_never_happen_is_reached(run) -> None:
    report = promela.check(run)
    assert report.failed == ""
    assert not report.cut
    assert report.states > 1


@pytest.mark.parametrize("run", promela.BROKEN, ids=str)
def test_without_this_it_is_reached(run) -> None:
    assert run.breaks in promela.check(run).failed


def test_every_rule_left_out_in_a_model_is_left_out_in_a_run() -> None:
    texts = [path.read_text("utf-8") for path in sorted(promela.MODELS.glob("*.pml"))]
    switches = {
        word
        for text in texts
        for line in text.splitlines()
        if line.startswith(("#ifdef", "#ifndef", "#elif"))
        for word in line.replace("(", " ").replace(")", " ").split()
        if word.startswith("NO_")
    }
    runs = {word for run in promela.BROKEN for word in run.defines.split()}
    assert switches
    assert switches <= runs
