"""peers.roster_file: a newer roster is taken up where it lies, and told of once."""

import asyncio
import os

import pytest
from structlog.testing import CapturingLogger

from peers import roster_file
from peers.roster_file import RosterFile
from secagg import errors
from tests.drivers.fake_clock import until
from tests.unit.test_roster_chain import ONE, TWO


class Site:
    """A roster file, what was taken of it, and what was logged."""

    def __init__(self, folder) -> None:
        self.path = folder / "roster.json"
        self.taken: list[int] = []
        self.faults: list[errors.SecaggError] = []
        self.log = CapturingLogger()
        self.marks = 0
        self.put(ONE.to_json())
        self.file = RosterFile(self.path, self._take, self.log)

    def put(self, text: str) -> None:
        """Put a file in place as `secagg roster install` does, later than any other."""
        beside = self.path.with_suffix(".part")
        beside.write_text(text)
        self.marks += 1
        os.utime(beside, ns=(self.marks, self.marks))
        beside.replace(self.path)

    def _take(self, versions) -> bool:
        if self.faults:
            raise self.faults.pop(0)
        self.taken += [signed.claimed.version for signed in versions]
        return True

    @property
    def warnings(self) -> list[str]:
        """The details of what was refused."""
        assert {call.method_name for call in self.log.calls} <= {"warning"}
        assert {call.args for call in self.log.calls} <= {("roster_refused",)}
        assert {call.kwargs["file"] for call in self.log.calls} <= {str(self.path)}
        return [call.kwargs["detail"] for call in self.log.calls]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def test_what_lies_there_at_the_start_is_known(site) -> None:
    await site.file.look()
    assert site.taken == site.warnings == []


async def test_a_file_that_changed_is_taken_once(site) -> None:
    site.put(TWO.to_json())
    await site.file.look()
    await site.file.look()
    assert site.taken == [1, 2]
    assert site.warnings == []


@pytest.mark.parametrize("text", ["", "{", '{"format": "secagg-roster/2"}', "\x00"])
async def test_a_file_that_cannot_be_used_is_told_once_and_the_next_taken(
    site, text
) -> None:
    site.put(text)
    await site.file.look()
    await site.file.look()
    (told,) = site.warnings
    assert str(site.path) in told
    assert site.taken == []
    site.put(TWO.to_json())
    await site.file.look()
    assert site.taken == [1, 2]


async def test_2_1_5_what_the_aggregator_refuses_is_told_once_with_its_remedy(
    site,
) -> None:
    site.faults = [errors.RemoteProtocolError("2.1-5", "the roster was forked")]
    site.put(TWO.to_json())
    await site.file.look()
    await site.file.look()
    (told,) = site.warnings
    assert "forked" in told
    assert site.taken == []


async def test_a_file_that_goes_and_comes_back_is_read_again(site) -> None:
    site.path.unlink()
    await site.file.look()
    (told,) = site.warnings
    assert "get the signed roster from the consortium" in told
    site.put(TWO.to_json())
    await site.file.look()
    assert site.taken == [1, 2]


async def test_a_file_is_looked_at_again_and_again(site, monkeypatch) -> None:
    monkeypatch.setattr(roster_file, "LOOK_SECONDS", 0)
    watching = asyncio.create_task(site.file.watch())
    async with asyncio.timeout(10):
        site.put("{")
        await until(lambda: len(site.log.calls) == 1)
        site.put(TWO.to_json())
        await until(lambda: len(site.taken) == 2)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert site.taken == [1, 2]
