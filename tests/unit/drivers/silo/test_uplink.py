import asyncio

import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.crypto.sign import SigningKey
from secagg.drivers import progress
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.uplink import (
    FIRST_SECONDS,
    MOST_SECONDS,
    REPLACEMENTS,
    Calls,
    Uplink,
)
from secagg.drivers.wire import admission, memory
from secagg.drivers.wire.connection import REPLACED
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.transport import ConnectionLost, Dial
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import SessionId
from secagg.roster_chain import RosterChain
from secagg.vector import Frame
from tests.drivers.fake_clock import FakeClock, until

CONSORTIUM = Consortium.of(4, b"uplink")
SILO = min(CONSORTIUM.silos)
AGGREGATOR = CONSORTIUM.aggregator.id


class PausingClock(FakeClock):
    """Notes how long every back-off was meant to be."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class Site:
    """An uplink, and the other ends of what it dialled."""

    def __init__(
        self,
        failures: int = 0,
        *,
        patient: bool = False,
        book: RosterBook | None = None,
        anyone: Dial | None = None,
    ) -> None:
        self.book = book or RosterBook(CONSORTIUM.roster)
        self.updates: list[int] = []
        self.clock = PausingClock()
        self.events: list[progress.Progress] = []
        self.ends: list[memory.MemoryTransport] = []
        self.left: list[str] = []
        self.entered = 0
        self.refusals: list[str] = []
        self.frames: list[Frame] = []
        self.standing = Standing()
        self.urgent = False
        self._failures = failures
        self.uplink = Uplink(
            dial=self._dial,
            door=self._door(CONSORTIUM.silos[SILO]),
            aggregator=AGGREGATOR,
            calls=Calls(
                standing=lambda: self.standing,
                entered=self._entered,
                handle=self._handle,
                left=self._left,
                urgent=lambda: self.urgent,
                updated=lambda: self.updates.append(self.book.newest.version),
            ),
            dial_anyone=anyone,
            observer=self.events.append,
            patient=patient,
        )

    def _door(self, identity) -> Door:
        return Door(
            identity=identity,
            book=self.book,
            entropy=SeededEntropy(b"uplink"),
            clock=self.clock,
        )

    async def _dial(self) -> memory.MemoryTransport:
        if self._failures:
            self._failures -= 1
            raise ConnectionLost("nothing answers there")
        if self.refusals:
            raise errors.ConnectionRefused(self.refusals.pop(0))
        near, far = memory.pair()
        self.ends.append(far)
        return near

    def _left(self, reason: str) -> str:
        self.left.append(reason)
        return reason or "look at the cable"

    def _entered(self, connection, welcome) -> None:
        del connection, welcome
        self.entered += 1

    async def _handle(self, connection, frame) -> None:
        del connection
        self.frames.append(frame)

    async def handled(self, count: int) -> None:
        await until(lambda: len(self.frames) == count)

    async def admitted(self, count: int):
        """Let the count-th dialled connection in."""
        await until(lambda: len(self.ends) >= count)
        door = self._door(CONSORTIUM.aggregator)
        far, before = self.ends[count - 1], self.entered
        admitted = await admission.admit(far, door, lambda peer, sid: None)
        assert isinstance(admitted, tuple)
        _, hello = admitted
        await until(lambda: self.entered > before)
        return far, hello

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


async def stopped(running) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_lost_connection_is_made_again_with_the_standing_of_now() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    far, hello = await site.admitted(1)
    assert hello.session is None
    site.standing = Standing(session=SessionId(bytes([7]) * 32))
    await far.cut()
    _, hello = await site.admitted(2)
    assert hello.session == bytes([7]) * 32
    assert site.left == [""]
    await stopped(running)


async def test_back_off_doubles_to_a_minute_with_jitter() -> None:
    site = Site(failures=12)
    running = asyncio.create_task(site.uplink.run())
    await site.admitted(1)
    for k, pause in enumerate(site.clock.pauses):
        most = min(MOST_SECONDS, FIRST_SECONDS * 2**k)
        assert most / 2 <= pause <= most
    assert len(set(site.clock.pauses)) == 12
    await stopped(running)


async def test_the_same_failure_is_said_once() -> None:
    site = Site(failures=5)
    running = asyncio.create_task(site.uplink.run())
    await site.admitted(1)
    said = site.told(progress.DialFailed)
    assert [event.reason for event in said] == ["nothing answers there"]
    (made,) = site.told(progress.Connected)
    assert made.attempts == 6
    await stopped(running)


async def test_after_a_connection_that_lasted_back_off_begins_anew() -> None:
    site = Site(failures=8)
    running = asyncio.create_task(site.uplink.run())
    far, _ = await site.admitted(1)
    site.clock.time_ms += 30_000
    await far.cut()
    await site.admitted(2)
    assert site.clock.pauses[-1] <= FIRST_SECONDS
    await stopped(running)


async def test_connections_that_do_not_last_are_dialled_ever_more_slowly() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    for k in range(6):
        far, _ = await site.admitted(k + 1)
        site.clock.time_ms += 29_999
        await far.cut()
    await site.admitted(7)
    for k, pause in enumerate(site.clock.pauses):
        assert FIRST_SECONDS * 2**k / 2 <= pause <= FIRST_SECONDS * 2**k
    await stopped(running)


async def test_while_a_round_waits_back_off_ends_at_three_seconds() -> None:
    site = Site(failures=12)
    site.urgent = True
    running = asyncio.create_task(site.uplink.run())
    await site.admitted(1)
    assert 1.5 <= max(site.clock.pauses) <= 3
    assert min(site.clock.pauses[3:]) >= 1.5
    await stopped(running)


@pytest.mark.parametrize("came", [True, False])
async def test_in_a_round_a_line_that_served_is_dialled_at_once_each_time(came) -> None:
    """Cut ever again, it would else be three seconds late each time."""
    site = Site()
    site.urgent = True
    running = asyncio.create_task(site.uplink.run())
    for k in range(1, 7):
        far, _ = await site.admitted(k)
        if came:
            await far.send(b"\x00an envelope")
            await site.handled(k)
        await far.cut()
    await site.admitted(7)
    assert (max(site.clock.pauses) <= FIRST_SECONDS) is came
    await stopped(running)


async def test_a_line_that_is_closed_with_a_word_is_dialled_more_slowly() -> None:
    site = Site()
    site.urgent = True
    running = asyncio.create_task(site.uplink.run())
    for k in range(1, 5):
        far, _ = await site.admitted(k)
        await far.send(b"\x00an envelope")
        await site.handled(k)
        await far.close("rule 7.1-1: the vector was sent more than twice")
    await site.admitted(5)
    assert max(site.clock.pauses) > FIRST_SECONDS
    await stopped(running)


async def test_an_observer_is_told_what_may_be_done_about_a_cut() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    far, _ = await site.admitted(1)
    await far.cut()
    await site.admitted(2)
    (gone,) = [e for e in site.events if isinstance(e, progress.Disconnected)]
    assert gone.reason == "look at the cable"
    await stopped(running)


@pytest.mark.parametrize("patient", [False, True])
async def test_being_replaced_by_another_process_is_final_by_rule_8_4(patient) -> None:
    site = Site(patient=patient)
    running = asyncio.create_task(site.uplink.run())
    for k in range(1, REPLACEMENTS + 1):
        far, _ = await site.admitted(k)
        await far.close(REPLACED)
    with pytest.raises(errors.ConnectionRefused, match="stop one of the two"):
        await running


async def test_whose_place_was_taken_for_a_moment_comes_back() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    for k in range(1, REPLACEMENTS):
        far, _ = await site.admitted(k)
        await far.close(REPLACED)
    far, _ = await site.admitted(REPLACEMENTS)
    await far.cut()
    far, _ = await site.admitted(REPLACEMENTS + 1)
    await far.close(REPLACED)
    await site.admitted(REPLACEMENTS + 2)
    await stopped(running)


async def test_a_refusal_at_the_first_door_is_final() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    await until(lambda: bool(site.ends))
    await site.ends[0].close("rule 8-2: the rosters differ")
    with pytest.raises(errors.ConnectionRefused, match="rule 8-2"):
        await running


async def test_a_refusal_after_a_connection_is_said_once_and_dialled_again() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    far, _ = await site.admitted(1)
    site.refusals = ["no such member: enrol it"] * 7 + ["clocks differ: set them"] * 2
    await far.cut()
    await site.admitted(2)
    said = [event.reason for event in site.told(progress.DialFailed)]
    assert said == ["no such member: enrol it", "clocks differ: set them"]
    assert len(site.clock.pauses) == 1 + 9
    assert site.clock.pauses[-1] >= FIRST_SECONDS * 2**8 / 4
    assert site.told(progress.Connected)[-1].attempts == 10
    await stopped(running)


async def test_a_patient_silo_dials_again_after_a_first_refusal() -> None:
    site = Site(patient=True)
    site.refusals = ["no such member: enrol it"] * 3
    running = asyncio.create_task(site.uplink.run())
    await site.admitted(1)
    (said,) = site.told(progress.DialFailed)
    assert said.reason == "no such member: enrol it"
    (made,) = site.told(progress.Connected)
    assert made.attempts == 4
    await stopped(running)


async def test_a_refusal_at_the_door_after_a_connection_is_dialled_again() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    far, _ = await site.admitted(1)
    await far.cut()
    await until(lambda: len(site.ends) == 2)
    await site.ends[1].close("rule 8-2: the rosters differ")
    await site.admitted(3)
    (said,) = site.told(progress.DialFailed)
    assert "rule 8-2" in said.reason
    await stopped(running)


async def test_bytes_that_break_a_rule_end_the_connection_with_the_rule() -> None:
    site = Site()
    running = asyncio.create_task(site.uplink.run())
    far, _ = await site.admitted(1)
    await far.send(b"\x09")
    with pytest.raises(ConnectionLost, match=r"rule 7\.1-1"):
        await far.recv()
    await site.admitted(2)
    assert site.left[0].startswith("rule 7.1-1")
    await stopped(running)


# --- whoever answers may have newer versions of the roster

KEY = SigningKey(bytes([2]) * 32)
ONE = RosterChain.founded("uplink", CONSORTIUM.roster.members, KEY)
TWO = ONE.followed_by(CONSORTIUM.roster.members, KEY)
FORGED = RosterChain.founded(
    "uplink", CONSORTIUM.roster.members, SigningKey(bytes([3]) * 32)
).followed_by(CONSORTIUM.roster.members, SigningKey(bytes([3]) * 32))
REFUSED = "the certificate is not that of the aggregator's key"


class Anyone:
    """Answers with a key that nobody knows, as an aggregator does whose key is new."""

    def __init__(self, chain: RosterChain) -> None:
        self.door = Door(
            identity=Identity(AGGREGATOR, bytes([9]) * 32),
            book=RosterBook(chain),
            entropy=SeededEntropy(b"anyone"),
            clock=FakeClock(),
        )
        self.answers: list[asyncio.Task[object]] = []

    async def dial(self) -> memory.MemoryTransport:
        near, far = memory.pair()
        self.answers.append(asyncio.create_task(self._admit(far)))
        return near

    async def _admit(self, far) -> object:
        try:
            return await admission.admit(far, self.door, lambda peer, sid: None)
        except ConnectionLost as lost:
            return lost


async def test_a_refused_dial_asks_whoever_answers_for_newer_versions() -> None:
    anyone = Anyone(TWO)
    site = Site(book=RosterBook(ONE), anyone=anyone.dial)
    site.refusals = [REFUSED]
    running = asyncio.create_task(site.uplink.run())
    await site.admitted(1)
    assert site.book.newest == TWO.newest
    assert site.updates == [2]
    assert [event.version for event in site.told(progress.RosterPinned)] == [2]
    assert site.clock.pauses == []
    assert await anyone.answers[0] == admission.Informed(peer=SILO, version=1)
    await stopped(running)


@pytest.mark.parametrize("chain", [ONE, FORGED], ids=["nothing newer", "forged"])
async def test_2_1_2_the_refusal_stands_when_nothing_proves_itself(chain) -> None:
    anyone = Anyone(chain)
    site = Site(book=RosterBook(ONE), anyone=anyone.dial)
    site.refusals = [REFUSED]
    with pytest.raises(errors.ConnectionRefused, match="aggregator's key"):
        await site.uplink.run()
    await asyncio.gather(*anyone.answers)
    assert len(anyone.answers) == 1
    assert site.book.newest == ONE.newest
    assert site.updates == []


@pytest.mark.parametrize(
    "failure", [ConnectionLost("cut"), errors.ConnectionRefused("no proxy")]
)
async def test_the_first_refusal_is_told_when_nobody_answers(failure) -> None:
    async def dial() -> memory.MemoryTransport:
        raise failure

    site = Site(book=RosterBook(ONE), anyone=dial)
    site.refusals = [REFUSED]
    with pytest.raises(errors.ConnectionRefused, match="aggregator's key"):
        await site.uplink.run()


async def test_8_9_a_site_that_pins_nothing_by_itself_asks_nobody() -> None:
    anyone = Anyone(TWO)
    site = Site(book=RosterBook(ONE, grows=False), anyone=anyone.dial)
    site.refusals = [REFUSED]
    with pytest.raises(errors.ConnectionRefused, match="aggregator's key"):
        await site.uplink.run()
    assert anyone.answers == []
