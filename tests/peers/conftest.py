"""A small consortium on disk: identities, a signed roster, configuration files."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import Roster, RosterMember
from secagg.roster_chain import RosterChain

HOSPITALS = ("basel", "bern", "chur", "zug")

PARTY = """
identity = "{silo}.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "{silo}-state"
"""
"""How either program's file begins; the aggregator is the silo `agg`."""


@dataclass(frozen=True)
class Consortium:
    """Files of a consortium in one folder."""

    folder: Path
    key: bytes
    roster: Roster

    def write(self, name, text):
        """Write a file of the folder and return its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def make_consortium(folder, hospitals=HOSPITALS):
    """Write identities and the roster; the same ones every time."""
    parties = ["consortium", "agg", *hospitals]
    identities = {}
    for party in parties:
        entropy = SeededEntropy(party.encode())
        identities[party] = Identity.generate(PeerId(party), entropy)
        identities[party].save(folder / f"{party}.identity.json")
    members = [
        RosterMember(
            id=PeerId(party),
            role="aggregator" if party == "agg" else "hospital",
            key=identities[party].key.public,
            name=party.title(),
        )
        for party in sorted(parties[1:])
    ]
    key = identities["consortium"].key
    chain = RosterChain.founded("Cardio", members, key)
    (folder / "roster.json").write_text(chain.to_json(), encoding="utf-8")
    return Consortium(folder, key.public, chain.newest)


@pytest.fixture
def consortium(tmp_path):
    """A consortium of one aggregator and four hospitals."""
    return make_consortium(tmp_path)
