"""Both programs of a consortium in one event loop, over the loopback."""

import asyncio
import contextlib
import json
from pathlib import Path

import numpy as np

from peers import model_file
from peers.aggregator import AggregatorProgram
from peers.config import load_aggregator, load_hospital
from peers.config_sections import Health
from peers.hospital import Hospital
from peers.logs import logged, opened_log
from peers.membership import Membership
from peers.records import RoundReport
from peers.training import TrainResult
from secagg import Identity
from tests.peers.conftest import PARTY, make_consortium

HOSPITALS = ("basel", "bern", "chur", "geneva", "zug")
WEIGHTS = dict(zip(HOSPITALS, (10, 20, 30, 40, 50), strict=True))
CLIP, BITS = 8.0, 16

AGGREGATOR = (
    PARTY
    + """
[listen]
host = "127.0.0.1"
port = 0
without_tls = true

[task]
id = "{task}"
rounds = {rounds}
clip = {clip}
bits = {bits}
{weights}
ready_deadline = {ready_deadline}
{expected}
linger = 0.2
{extras}
[task.durations]
advertise_keys = 1
share_keys = 1
share_ack = 1
masked_input = 2
consistency = 1
unmasking = 1

[model]
path = "first.safetensors"
frozen = ["steps"]
{privacy}
[log]
file = "agg.log"
"""
)
WEIGHTED = 'weighting = "weighted"\nmax_weight = 50'
EXTRAS = """
[[task.extras]]
name = "loss"
low = -5
high = 5
decimals = 3
"""
HOSPITAL = (
    PARTY
    + """
aggregator = "ws://127.0.0.1:{port}"
{tasks}
[training]
trainer = "ward:train"
framework = "numpy"
frozen = ["steps"]
metrics = [{metrics}]

[policy]
min_bits = {min_bits}

[log]
file = "{silo}.log"
"""
)
METRIC = '{ name = "loss", decimals = 3 }'
FIRST = {
    "w": np.linspace(-1, 1, 60, dtype=np.float32).reshape(6, 10),
    "b": np.zeros(4),
    "steps": np.array(3),
}


def step_of(silo):
    """What every parameter moves by in the training of a hospital."""
    return 0.01 * (1 + HOSPITALS.index(silo))


def train(state, info):
    """Move every parameter by the hospital's own step."""
    step = step_of(info.silo)
    moved = {
        name: array + step if array.dtype.kind == "f" else array + 1
        for name, array in state.items()
    }
    return TrainResult(moved, WEIGHTS[info.silo], {"loss": -step})


class Programs:
    """Both programs on files in one folder."""

    def __init__(self, folder, **terms) -> None:
        self.folder = folder
        self.terms = {
            "task": "cardio-1",
            "rounds": 2,
            "clip": CLIP,
            "bits": BITS,
            "weights": WEIGHTED,
            "extras": EXTRAS,
            "privacy": "",
            "metrics": METRIC,
            "min_bits": 8,
            "ready_deadline": 20.0,
            "expected": "",
            "tasks": "",
            **terms,
        }
        self.reports: list[RoundReport] = []
        self.shown: list[str] = []
        self.own: dict[str, dict[str, str]] = {}
        self.rosters: dict[str, Path] = {}
        self.engines: dict[str, str] = {}
        self.health: dict[str, str] = {}
        self.trainers = dict.fromkeys(HOSPITALS, train)
        if not (folder / "roster.json").exists():
            make_consortium(folder, HOSPITALS)
            (folder / "first.safetensors").write_bytes(model_file.save(FIRST))
        self.signer = Identity.load(folder / "consortium.identity.json")
        self.key = self.signer.key.public.hex()

    def config(self, name, text, load, **more):
        path = self.folder / f"{name}.toml"
        terms = {**self.terms, **self.own.get(name, {}), **more}
        path.write_text(text.format(key=self.key, silo=name, **terms))
        health = Health(listen=self.health.get(name))
        return load(path).model_copy(update={"health": health})

    async def run(self, silos=HOSPITALS, seconds=60):
        """Run the aggregator's rounds with these hospitals; return their tasks."""
        config = self.config("agg", AGGREGATOR, load_aggregator)
        port = asyncio.get_running_loop().create_future()
        with opened_log(config.log) as log:
            program = AggregatorProgram(
                config,
                Membership.of(config),
                self.folder,
                log=log,
                observer=logged(log),
                reported=self.reports.append,
                bound=port.set_result,
            )
            self.store = program.store
            async with asyncio.timeout(seconds), self._hospitals(silos, port) as tasks:
                await program.run()
                return {silo: task.done() for silo, task in tasks.items()}

    @contextlib.asynccontextmanager
    async def _hospitals(self, silos, port):
        tasks = {}

        async def start():
            number = await port
            for silo in silos:
                tasks[silo] = asyncio.create_task(self._hospital(silo, number))

        starting = asyncio.create_task(start())
        try:
            yield tasks
        finally:
            starting.cancel()
            for task in tasks.values():
                task.cancel()
            self.ended = dict(
                zip(
                    tasks,
                    await asyncio.gather(*tasks.values(), return_exceptions=True),
                    strict=True,
                )
            )

    async def _hospital(self, silo, port):
        config = self.config(silo, HOSPITAL, load_hospital, port=port)
        if silo in self.rosters:
            config = config.model_copy(update={"roster": self.rosters[silo]})
        if silo in self.engines:
            config = config.model_copy(update={"engine": self.engines[silo]})
        with opened_log(config.log) as log:
            program = Hospital(
                config,
                Membership.of(config),
                self.trainers[silo],
                log=log,
                observer=logged(log),
                shown=self.shown.append,
            )
            await program.run()

    def events(self, party):
        """The lines of a party's log."""
        text = (self.folder / f"{party}.log").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def named(self, party, name):
        return [event for event in self.events(party) if event["event"] == name]

    def moved(self):
        """By how much the model moved from the first one, per parameter."""
        state = model_file.load(self.store.read(), "numpy")
        return state["w"].astype(np.float64) - FIRST["w"], int(state["steps"])


def mean_step(silos, weighted=True):
    weights = [WEIGHTS[silo] if weighted else 1 for silo in silos]
    return np.average([step_of(silo) for silo in silos], weights=weights)
