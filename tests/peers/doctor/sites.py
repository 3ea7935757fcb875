"""Sites for the doctor to look at: their files, their consortium, its aggregator."""

import contextlib
from dataclasses import replace

import secagg
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import HOSPITAL, SignedRoster
from secagg.roster_chain import RosterChain

WARD = """
import numpy as np


def first():
    return {"w": np.zeros(500, np.float32)}


def train(state, info):
    raise AssertionError("a doctor does not train")


def alone(state):
    raise AssertionError
"""
HOSPITAL_FILE = """
aggregator = "{url}"
identity = "bern.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"

[training]
trainer = "infirmary:train"
framework = "numpy"
"""
AGGREGATOR_FILE = """
identity = "agg.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"

[listen]
host = "127.0.0.1"
port = 0

[task]
id = "cardio-1"
rounds = 2
clip = 1.0

[model]
factory = "infirmary:first"
"""


ALL_WELL = ["name", "tcp", "tls", "clock", "rosters", "door"]


def fields(text, consortium, **changes):
    """Return a file with some of its values changed."""
    given = {"url": "wss://127.0.0.1:1", "key": consortium.key.hex(), **changes}
    return text.format(**given)


def found(report, check):
    """The level and the words of a check's only line."""
    (one,) = [one for one in report.findings if one.check == check]
    return one.level, one.detail


def levels(report):
    return {one.check: one.level.value for one in report.findings}


def refound(consortium, **changes):
    """Sign the roster anew, with changes."""
    signer = Identity.load(consortium.folder / "consortium.identity.json")
    roster = replace(consortium.roster, **changes)
    signed = SignedRoster.sign(roster, signer.key)
    chain = RosterChain.opened([signed], signer.key.public)
    consortium.write("roster.json", chain.to_json())
    return roster


def strangers(members):
    return tuple(m for m in members if m.id != "bern")


def another_key(members):
    key = Identity.generate(PeerId("bern"), SeededEntropy(b"other")).key.public
    return tuple(replace(m, key=key) if m.id == "bern" else m for m in members)


def another_role(members):
    return tuple(
        replace(m, role="aggregator") if m.id == "bern" else m for m in members
    )


def no_aggregator(members):
    return tuple(m for m in members if m.role == HOSPITAL)


@contextlib.asynccontextmanager
async def served(consortium, seen, roster=None, **changes):
    """Run the consortium's aggregator in this process; yield its port."""
    given = {
        "identity": Identity.load(consortium.folder / "agg.identity.json"),
        "roster": roster or consortium.roster,
        "task": secagg.Task(task_id="cardio-1", length=5, clip=1.0),
        "observer": seen.append,
        **changes,
    }
    async with secagg.serve("127.0.0.1", 0, **given) as aggregator:
        yield aggregator.port
