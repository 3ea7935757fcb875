"""What the tests of adversaries share: sessions with a liar, and how to bend a list."""

from dataclasses import replace

from tests.helpers import (
    scene,
    silo,
    silos,
)
from tests.invariants import check_all
from tests.machine.forge import lying

ALL = silos(1, 2, 3, 4)
ME, OTHER = silo(2), silo(3)


def checked(world, honest=None, c=1):
    """I1 to I8, of all clients or of these."""
    clients = [world.clients[u] for u in honest or world.clients]
    return check_all(clients, world.consortium.roster, c)


def refusals(world):
    """The rule by which each client that refused did."""
    found = {u: client.refusals() for u, client in world.clients.items()}
    return {u: [r.rule for r in said] for u, said in found.items() if said}


def run_lying(**rewrites):
    """A session with a lying aggregator; its own machine goes on as it can."""
    world = scene()
    lying(world, **rewrites)
    world.run()
    checked(world)
    return world


def only(receiver, change):
    """Lie to one client alone."""
    return lambda message, to: change(message) if to == receiver else message


def anew(message):
    """The list of entries that a message is made of, to be changed."""
    [name] = message.__dataclass_fields__
    return name, list(getattr(message, name))


def without(message, *places):
    name, rows = anew(message)
    kept = [row for i, row in enumerate(rows) if i not in places]
    return replace(message, **{name: tuple(kept)})


def with_row(message, place, row):
    name, rows = anew(message)
    rows[place] = row
    return replace(message, **{name: tuple(rows)})


def doubled(message):
    name, rows = anew(message)
    return replace(message, **{name: (rows[0], *rows)})
