import asyncio
import dataclasses
import datetime
import socket
import ssl
import stat

import numpy as np
import pytest

import secagg
from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers import progress
from secagg.drivers.api import silo_over
from secagg.drivers.silo.store import SqliteStore
from secagg.drivers.wire.memory import MemoryNetwork
from secagg.drivers.wire.tls import LeafRenewer, client_context
from secagg.drivers.wire.transport import ConnectionLost
from secagg.names import PeerId
from tests.drivers.fake_clock import FakeClock, until

CONSORTIUM = Consortium.of(4, b"api")
PEERS = sorted(CONSORTIUM.silos)
TASK = secagg.Task(task_id="demo", length=5, clip=1.0)


def serving(**changes):
    given = {
        "identity": CONSORTIUM.aggregator,
        "roster": CONSORTIUM.roster,
        "task": TASK,
    }
    return secagg.serve("127.0.0.1", 0, **{**given, **changes})


def connecting(port, peer, **changes):
    given = {
        "identity": CONSORTIUM.silos[peer],
        "roster": CONSORTIUM.roster,
        "state": secagg.MemoryStore(),
    }
    scheme = changes.pop("scheme", "wss")
    return secagg.connect(f"{scheme}://127.0.0.1:{port}", **{**given, **changes})


async def contribute(port, peer, value, **changes):
    async with connecting(port, peer, **changes) as silo:
        return await silo.contribute(np.full(5, value))


@pytest.mark.parametrize("scheme", ["wss", "ws", "WSS"])
async def test_the_few_lines_of_the_readme_work(scheme) -> None:
    async with serving(without_tls=scheme == "ws") as aggregator:
        work = [
            asyncio.create_task(contribute(aggregator.port, u, k / 10, scheme=scheme))
            for k, u in enumerate(PEERS)
        ]
        outcome = await aggregator.run_round()
    # The aggregator has left, but not before everybody had the mean.
    means = await asyncio.gather(*work)
    assert outcome.sets["u3"] == tuple(PEERS)
    assert outcome.error is not None
    for mean in means:
        assert np.abs(mean - 0.15).max() < outcome.error.worst


async def test_an_identity_that_tls_does_not_know_is_said_on_both_sides() -> None:
    seen: list[progress.Progress] = []
    stranger = Consortium.of(4, b"strangers")
    async with serving(observer=seen.append) as aggregator:
        with pytest.raises(errors.ConnectionRefused, match="fingerprints"):
            async with connecting(
                aggregator.port,
                PEERS[0],
                identity=stranger.silos[PEERS[0]],
                roster=dataclasses.replace(
                    CONSORTIUM.roster, members=mixed(stranger, PEERS[0])
                ),
            ):
                pass
        await until(lambda: any(isinstance(e, progress.PeerRefused) for e in seen))
    (refused,) = [e for e in seen if isinstance(e, progress.PeerRefused)]
    assert refused.rule == "tls"


def mixed(stranger, peer):
    """The members, with another key for one of them."""
    key = stranger.silos[peer].key.public
    return tuple(
        dataclasses.replace(member, key=key) if member.id == peer else member
        for member in CONSORTIUM.roster.members
    )


async def test_a_silo_that_is_not_enrolled_does_not_dial() -> None:
    stranger = Consortium.of(4, b"strangers").silos[PEERS[0]]
    with pytest.raises(errors.ConnectionRefused, match=r"rule 8-9.*with the key"):
        async with connecting(1, PEERS[0], identity=stranger):
            pass


async def test_an_address_in_clear_is_refused() -> None:
    with pytest.raises(errors.ConnectionRefused, match="would travel in clear"):
        async with secagg.connect(
            "ws://aggregator.example:8443",
            identity=CONSORTIUM.silos[PEERS[0]],
            roster=CONSORTIUM.roster,
            state=secagg.MemoryStore(),
        ):
            pass


async def test_an_aggregator_that_the_roster_does_not_have_is_refused() -> None:
    with pytest.raises(errors.ConnectionRefused, match="not elsewhere"):
        async with connecting(1, PEERS[0], aggregator=PeerId("elsewhere")):
            pass


async def test_which_of_several_aggregators_must_be_said() -> None:
    roster = CONSORTIUM.roster
    second = tuple(
        dataclasses.replace(m, role="aggregator") if m.id == PEERS[3] else m
        for m in roster.members
    )
    two = dataclasses.replace(roster, members=second)
    with pytest.raises(errors.ConnectionRefused, match="which one to use is not said"):
        async with connecting(1, PEERS[0], roster=two):
            pass


async def test_a_state_directory_that_is_held_is_refused(tmp_path) -> None:
    network = MemoryNetwork()

    def silo():
        return silo_over(
            network.dial,
            identity=CONSORTIUM.silos[PEERS[0]],
            roster=CONSORTIUM.roster,
            state=tmp_path,
        )

    async with serving(without_tls=True) as aggregator:
        network.listen(aggregator.accept)
        async with silo():
            with pytest.raises(errors.StateError, match="another process"):
                await silo().__aenter__()
        await network.close()


async def test_a_silo_without_a_chosen_state_remembers_in_its_state_home(
    tmp_path, monkeypatch
) -> None:
    """Rules 4.1-6 and 4.1-8 hold across processes without a further word."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state home"))
    async with serving() as aggregator:
        work = [
            asyncio.create_task(contribute(aggregator.port, u, 0.0, state=None))
            for u in PEERS
        ]
        await aggregator.run_round()
        await asyncio.gather(*work)
    identity = CONSORTIUM.silos[PEERS[0]]
    home = tmp_path / "state home" / "secagg"
    folder = home / f"{PEERS[0]}-{identity.key.public.hex()[:16]}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with SqliteStore(folder) as store:
        assert store.last_joined("demo") == (1, 1)
        assert store.spent("demo", 1)


async def test_a_proxy_is_asked_where_the_site_has_one() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader, writer) -> None:
        asked.put_nowait(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        silo = connecting(8443, PEERS[0], proxy=f"http://127.0.0.1:{port}")
        dialling = asyncio.create_task(silo.__aenter__())
        assert await asked.get() == b"CONNECT 127.0.0.1:8443 HTTP/1.1\r\n"
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)


def test_the_public_names_fit_one_screen_and_exist() -> None:
    assert len(secagg.__all__) < 40
    assert all(hasattr(secagg, name) for name in secagg.__all__)


async def test_a_tls_context_that_would_not_be_used_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="leave one of them out"):
        async with serving(ssl=ssl.create_default_context(), without_tls=True):
            pass


async def test_a_patient_silo_waits_until_the_aggregator_knows_it() -> None:
    stranger = Consortium.of(4, b"strangers")
    roster = dataclasses.replace(CONSORTIUM.roster, members=mixed(stranger, PEERS[0]))
    told: asyncio.Queue[progress.Progress] = asyncio.Queue()
    async with serving() as aggregator:
        silo = connecting(
            aggregator.port,
            PEERS[0],
            identity=stranger.silos[PEERS[0]],
            roster=roster,
            patient=True,
            observer=told.put_nowait,
        )
        entering = asyncio.create_task(silo.__aenter__())
        said = await told.get()
        assert isinstance(said, progress.DialFailed)
        assert "fingerprints" in said.reason
        assert not entering.done()
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)


class DayClock(FakeClock):
    """A day passes with every back-off."""

    async def pause(self, seconds: float) -> None:
        self.time_ms += 24 * 3_600_000
        await super().pause(seconds)


async def test_every_dial_shows_a_leaf_of_its_own_time(monkeypatch) -> None:
    issued: list[datetime.datetime] = []
    made = client_context

    def noted(identity, roster, aggregator, *, now, verified):
        issued.append(now)
        return made(identity, roster, aggregator, now=now, verified=verified)

    async def nobody(url, context, **_):
        raise ConnectionLost("nothing answers there")

    monkeypatch.setattr("secagg.drivers.api.client_context", noted)
    monkeypatch.setattr("secagg.drivers.wire.dialling.dial", nobody)
    silo = connecting(8443, PEERS[0], clock=DayClock())
    dialling = asyncio.create_task(silo.__aenter__())
    await until(lambda: len(issued) >= 3)
    dialling.cancel()
    await asyncio.gather(dialling, return_exceptions=True)
    day = datetime.timedelta(days=1)
    assert [later - issued[0] for later in issued[:3]] == [0 * day, day, 2 * day]


async def test_a_server_that_runs_for_days_shows_leaves_of_its_clock(
    monkeypatch,
) -> None:
    issued: list[datetime.datetime] = []
    monkeypatch.setattr(LeafRenewer, "renew_if_due", lambda _, now: issued.append(now))
    async with serving(clock=DayClock()):
        await until(lambda: len(issued) >= 3)
    day = datetime.timedelta(days=1)
    assert [later - issued[0] for later in issued[:3]] == [0 * day, day, 2 * day]


async def test_health_is_answered_beside_the_hospitals() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with serving(health=f"127.0.0.1:{port}"):
        for path, said in (("healthz", b'"journal": "ok"'), ("readyz", b"listening")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            assert b" 200 OK" in answer
            assert said in answer
