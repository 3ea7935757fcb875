"""A malicious aggregator and a corrupt member, as Hypothesis likes to play them.

It may offer sessions, tell each honest client its own lists, leave rows out, exchange
and repeat them, mix in rows of other sessions, replay and withhold. Whatever it does,
I1 to I8 hold of the honest clients, no secret can be rebuilt twice and no two U3 of one
session get q votes.
"""

import collections

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from secagg import codec, events
from secagg import messages as msg
from secagg.transitions import ClientPhase
from tests.helpers import say_ready
from tests.invariants import check_all
from tests.machine.villain import CORRUPT, HONEST, Villain, rows_of, with_rows
from tests.rules_off import switched_off
from tests.samples import blob

PEERS = st.sampled_from(HONEST)
ALL = frozenset(HONEST)
SOME = st.just(ALL) | st.frozensets(PEERS, min_size=1)
BENDS = st.sampled_from(["cut", "double", "swap", "mix"])
QUORUM = 3
FREE = {ClientPhase.IDLE, ClientPhase.READY, ClientPhase.RELEASED}


class MaliciousAggregator(RuleBasedStateMachine):
    """Silos 1 to 3 are honest, silo 4 and the aggregator are not; c = 1, q = t = 3."""

    def __init__(self):
        super().__init__()
        self.villain = Villain()

    # --- what keeps a session going

    @rule(
        to=SOME,
        round_no=st.sampled_from([1, 1, 2]),
        attempt=st.integers(1, 3),
        bits=st.sampled_from([16, 16, 12]),
    )
    def offer(self, to, round_no, attempt, bits):
        """Offer a session to some of them."""
        self.villain.offer(round_no=round_no, attempt=attempt, bits=bits)
        for u in sorted(to):
            self.villain.tell(u, self.villain.offers[-1])

    @rule(steps=st.integers(1, 5), u=PEERS, kind=BENDS, k=st.integers(0, 3))
    def session(self, steps, u, kind, k):
        """A session that goes well up to a step, at which one is told a bent list."""
        number = len(self.villain.offers)
        round_no = 1 + number // 3
        for client in self.villain.clients.values():
            if client.phase in FREE and client.ready.round_no != round_no:
                say_ready(client, self.villain.world.task, round_no)
        self.offer(ALL, round_no, 1 + number % 3, 16)
        self.all_go_on(ALL, steps)
        self.bent(u, kind, k)
        self.all_go_on(ALL, 1)

    @rule(to=SOME)
    def go_on(self, to):
        """Tell them what an honest aggregator would, each in its own phase."""
        for u in sorted(to):
            message = self.villain.due(u)
            sid = self.villain.clients[u].sid
            if message is not None and sid is not None:
                self.villain.say(u, sid, message)

    @rule(to=SOME)
    def upload(self, to):
        """Let their uploads finish; the root of each is its own."""
        for place, u in enumerate(HONEST):
            client = self.villain.clients[u]
            if u in to and client.sid is not None:
                masked = events.VectorMasked(sid=client.sid, root=blob(1 + place))
                self.villain.take(client.handle(masked))

    @rule(to=SOME, rounds=st.integers(1, 3))
    def all_go_on(self, to, rounds):
        for _ in range(rounds):
            self.upload(to)
            self.go_on(to)

    # --- what does not

    @rule(u=PEERS, kind=BENDS, k=st.integers(0, 3))
    def bent(self, u, kind, k):
        """What is due, with rows cut, repeated, exchanged or of another session."""
        message, sid = self.villain.due(u), self.villain.clients[u].sid
        found = None if message is None else rows_of(message)
        if message is None or sid is None or found is None:
            return
        rows = list(found[1])
        bends = {
            "cut": lambda: rows[:k] + rows[k + 1 :],
            "double": lambda: [*rows[:1], *rows],
            "swap": lambda: swapped(rows),
            "mix": lambda: self.foreign(message, self.villain.sids()[-1 - k :][0]),
        }
        self.villain.say(u, sid, with_rows(message, bends[kind]() or rows))

    def foreign(self, message, sid):
        """The rows that another session would have."""
        match message:
            case msg.KeyList():
                return self.villain.key_list(sid).entries
            case msg.InputList():
                return self.villain.input_list(sid, bytes(sid)).entries
            case msg.Certificate():
                return self.villain.certificate(sid, bytes(sid)).votes
            case _:
                return ()

    @precondition(lambda self: self.villain.spoken)
    @rule(u=PEERS, data=st.data())
    def replay(self, u, data):
        """Anything that was ever said, to anybody."""
        spoken = self.villain.spoken[-40:]
        _, envelope = data.draw(st.sampled_from(spoken))
        self.villain.tell(u, envelope)

    @rule(u=PEERS, data=st.data())
    def other_story(self, u, data):
        """A list of a later round, or another one of a round that is over."""
        client = self.villain.clients[u]
        if client.sid is None:
            return
        held = self.villain._told.get((client.sid, u), {})
        stories: list[msg.Message] = [self.villain.key_list(client.sid)]
        if "h2" in held:
            inputs = self.villain.input_list(client.sid, held["h2"])
            stories += [with_rows(inputs, inputs.entries[:k]) for k in (3, 4)]
        if "h3" in held:
            stories.append(self.villain.certificate(client.sid, held["h3"]))
        self.villain.say(u, client.sid, data.draw(st.sampled_from(stories)))

    @rule(u=PEERS, rule_=st.sampled_from(["4.2-4", "4.6-4", "4.7-3"]))
    def abort(self, u, rule_):
        sid = self.villain.clients[u].sid
        if sid is not None:
            abort = msg.Abort(rule=rule_, detail="", missing=())
            self.villain.say(u, sid, abort)

    @rule(u=PEERS, round_no=st.integers(1, 2))
    def train(self, u, round_no):
        """The hospital's own side has an update again."""
        client = self.villain.clients[u]
        if client.phase in FREE:
            say_ready(client, self.villain.world.task, round_no)

    # --- what must hold

    def teardown(self):
        clients = self.villain.clients.values()
        check_all(clients, self.villain.world.consortium.roster, 1)
        votes = collections.defaultdict(set)
        for client in clients:
            for envelope in client.sent:
                if envelope.type == "Consistency":
                    votes[envelope.sid, envelope.body].add(client.id)
        certain = collections.Counter(
            sid
            for (sid, _), voters in votes.items()
            if len(voters | {CORRUPT}) >= QUORUM
        )
        assert all(count == 1 for count in certain.values()), "two h3 with q votes"


def swapped(rows):
    """The first two rows under each other's name."""
    if len(rows) < 2 or not hasattr(rows[0], "peer"):
        return rows[::-1]
    first, second = rows[:2]
    fields = {f: getattr(second, f) for f in type(second).__dataclass_fields__}
    return [type(first)(**{**fields, "peer": first.peer}), *rows[1:]]


TestMaliciousAggregator = MaliciousAggregator.TestCase
TestMaliciousAggregator.settings = settings(max_examples=200, stateful_step_count=25)


def test_an_aggregator_that_does_not_lie_brings_its_honest_clients_to_a_release() -> (
    None
):
    """So the machine above reaches every phase, and not only refusals."""
    machine = MaliciousAggregator()
    everyone = set(HONEST)
    machine.offer(everyone, 1, 1, 16)
    machine.all_go_on(everyone, 5)
    phases = {client.phase for client in machine.villain.clients.values()}
    assert phases == {ClientPhase.RELEASED}
    sent = [e.type for c in machine.villain.clients.values() for e in c.sent]
    assert sent.count("Unmasking") == 3
    machine.teardown()


@pytest.mark.parametrize(
    ("rules", "harm"),
    [
        (("4.1-6",), "I7"),
        (("4.1-8",), "I8"),
        # Where all are neighbours, the least degree holds the floor as well.
        (("4.5-5", "4.5-7"), "below the floor"),
        (("4.6-3",), "I2"),
        (("4.6-4",), "I2"),
    ],
)
def test_with_a_rule_off_it_finds_the_harm(rules, harm) -> None:
    search = settings(
        max_examples=2000, stateful_step_count=25, phases=[Phase.generate]
    )
    with switched_off(*rules), pytest.raises(AssertionError, match=harm):
        run_state_machine_as_test(MaliciousAggregator, settings=search)


def test_the_bodies_it_signs_are_read_by_its_clients() -> None:
    machine = MaliciousAggregator()
    machine.offer(set(HONEST), 1, 1, 16)
    machine.go_on(set(HONEST))
    bodies = [
        codec.decode_body(envelope.type, envelope.body, members=4)
        for _, envelope in machine.villain.spoken
    ]
    assert {type(body) for body in bodies} == {msg.Manifest, msg.KeyList}
