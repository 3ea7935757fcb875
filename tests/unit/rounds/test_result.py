"""secagg.rounds.result: what came out, and the chain it is a link of (4.8)."""

from dataclasses import replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.differences import SummedSet
from secagg.drivers.roster_book import RosterBook
from secagg.messages import BlobRef, Extra, NoiseRecord, NoiseTerms, Result
from secagg.params import Parameters
from secagg.rounds import result
from secagg.signing import seal, seal_body
from tests.helpers import AGGREGATOR, refused_rule, scene, silos
from tests.samples import blob, sound_manifest

U3 = silos(1, 2, 4)
TERMS = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.5,
    adjacency="zero-out",
    delta=1e-5,
)
NOISE = NoiseRecord(
    mechanism="discrete-gaussian",
    noise_multiplier=1.5,
    sigma_squared=9,
    sensitivity_squared=4,
)
PLAIN = sound_manifest(length=10)
NOISED = replace(PLAIN, dp=TERMS)


def released(**other):
    usual = {
        "status": "released",
        "u3": U3,
        "verdicts": (),
        "dp": None,
        "extras": (),
        "vector": BlobRef(hash=blob(1), size=40, width=4),
        "next_model_hash": None,
        "epsilon": None,
    }
    return Result(**{**usual, **other})


DISCARDED = released(status="discarded", vector=None)


PARAMS = Parameters.of(PLAIN)


def refused(message, manifest=PLAIN):
    params = Parameters.of(manifest)
    return refused_rule(result.client_accept, message, u3=U3, params=params)


def test_a_result_of_the_latched_u3_is_taken() -> None:
    result.client_accept(released(), u3=U3, params=PARAMS)
    wide = released(vector=BlobRef(hash=blob(1), size=80, width=8))
    result.client_accept(wide, u3=U3, params=PARAMS)
    result.client_accept(DISCARDED, u3=U3, params=PARAMS)


@pytest.mark.parametrize("u3", [U3[:2], (*U3, "silo-005"), tuple(reversed(U3)), ()])
def test_4_8_1_refuses_another_u3(u3) -> None:
    assert refused(released(u3=u3)) == "4.8-1"


@pytest.mark.parametrize(
    ("size", "width"), [(39, 4), (41, 4), (80, 4), (40, 8), (50, 5), (0, 4)]
)
def test_4_8_2_refuses_a_vector_that_is_not_m_coordinates(size, width) -> None:
    bent = released(vector=BlobRef(hash=blob(1), size=size, width=width))
    assert refused(bent) == "4.8-2"


def test_4_8_3_the_noise_of_a_release_is_what_the_manifest_announced() -> None:
    result.client_accept(released(dp=NOISE), u3=U3, params=Parameters.of(NOISED))
    assert refused(released(dp=NOISE)) == "4.8-3"
    assert refused(released(), NOISED) == "4.8-3"
    assert refused(released(dp=replace(NOISE, mechanism="none")), NOISED) == "4.8-3"
    less = replace(NOISE, noise_multiplier=1.4)
    assert refused(released(dp=less), NOISED) == "4.8-3"


def test_4_8_3_a_discarded_sum_has_no_noise() -> None:
    result.client_accept(DISCARDED, u3=U3, params=Parameters.of(NOISED))
    assert refused(replace(DISCARDED, dp=NOISE), NOISED) == "4.8-3"


WEIGHED = replace(
    PLAIN,
    weighting="weighted",
    max_weight=100,
    extras=(Extra(name="delta", low=-2, high=5),),
)


@pytest.mark.parametrize("low_high", [(-6, 1), (15, 300), (0, 7)])
def test_4_8_5_sums_that_honest_members_have_are_taken(low_high) -> None:
    delta, weight = low_high
    sums = (("delta", delta), ("weight", weight))
    params = Parameters.of(WEIGHED)
    result.client_accept(released(extras=sums), u3=U3, params=params)


@pytest.mark.parametrize(
    "sums",
    [
        (),
        (("delta", 0),),
        (("weight", 5), ("delta", 0)),
        (("delta", 0), ("weight", 5), ("more", 1)),
        (("delta", -7), ("weight", 5)),
        (("delta", 16), ("weight", 5)),
        (("delta", 0), ("weight", 0)),
        (("delta", 0), ("weight", -5)),
        (("delta", 0), ("weight", 301)),
        (("delta", 0), ("weight", 10**18)),
    ],
)
def test_4_8_5_refuses_sums_that_no_members_have(sums) -> None:
    assert refused(released(extras=sums), WEIGHED) == "4.8-5"


def test_4_8_5_a_discarded_sum_has_no_extras() -> None:
    assert refused(replace(DISCARDED, extras=(("weight", 5),)), WEIGHED) == "4.8-5"


# --- the chain

WORLD = scene()
WORLD.run()
PAST = WORLD.server.evidence()
ROSTER = WORLD.consortium.roster
ROSTERS = RosterBook(ROSTER)
SID = WORLD.server.sid
HEAD = bytes(32)


def walk(past=PAST, *, head=HEAD, task_id="task", aggregator=AGGREGATOR):
    return result.next_link(
        past, head=head, task_id=task_id, aggregator=aggregator, rosters=ROSTERS
    )


def test_what_a_past_round_summed_is_known_from_its_evidence() -> None:
    manifest, u3 = WORLD.server.manifest, WORLD.server.sets["u3"]
    assert result.summed_of(PAST, members=5) == SummedSet.of(manifest, u3)


def signed(message, sid=SID, h=None, identity=WORLD.consortium.aggregator):
    """An envelope of the aggregator's, as bytes."""
    envelope = seal(
        message,
        identity=identity,
        receiver=AGGREGATOR,
        sid=sid,
        h=PAST.h3 if h is None else h,
    )
    return codec.encode_envelope(envelope)


def said(data):
    """The message in an envelope's bytes."""
    envelope = codec.decode_envelope(data, members=5)
    return codec.decode_body(envelope.type, envelope.body, members=5)


def test_the_next_head_is_the_link_of_those_that_were_there() -> None:
    ends = [WORLD.clients[u].end for u in WORLD.clients]
    links = {end.link for end in ends if isinstance(end, events.Completed)}
    assert links == {walk()}


def test_a_link_is_the_hash_of_what_came_before_and_of_the_result() -> None:
    body = codec.decode_envelope(PAST.result, members=5).body
    assert walk() == transcript.link(HEAD, SID, PAST.h3, body)


def test_4_8_4_refuses_a_round_that_does_not_follow_this_head() -> None:
    assert refused_rule(walk, head=blob(1)) == "4.8-4"


def test_4_8_4_refuses_a_round_of_another_task() -> None:
    assert refused_rule(walk, task_id="other") == "4.8-4"


def test_4_8_4_refuses_parts_that_are_another_message() -> None:
    manifest = codec.decode_envelope(PAST.manifest, members=5)
    abort = msg.Abort(rule="0-1", detail="", missing=())
    swapped = replace(PAST, manifest=signed(said(PAST.result), sid=manifest.sid))
    assert refused_rule(walk, swapped) in {"4.8-4", "3.4-3"}
    assert refused_rule(walk, replace(PAST, result=signed(abort))) == "4.8-4"


def test_4_8_4_refuses_a_result_of_another_session() -> None:
    other = signed(said(PAST.result), sid=transcript.session_id(b"other"))
    assert refused_rule(walk, replace(PAST, result=other)) == "4.8-4"


def test_3_4_3_refuses_parts_that_the_aggregator_did_not_sign() -> None:
    someone = WORLD.consortium.silos[silos(1)[0]]
    forged = signed(said(PAST.result), identity=someone)
    assert refused_rule(walk, replace(PAST, result=forged)) == "3.4-3"
    manifest = signed(said(PAST.manifest), h=SID, identity=someone)
    assert refused_rule(walk, replace(PAST, manifest=manifest)) == "3.4-3"


def test_3_4_3_refuses_another_h3() -> None:
    assert refused_rule(walk, replace(PAST, h3=blob(1))) == "3.4-3"


def certificate(votes):
    made = msg.Certificate(votes=tuple(votes))
    return replace(PAST, certificate=codec.encode_body(made))


_VOTED = codec.decode_body("Certificate", PAST.certificate, members=5)
assert isinstance(_VOTED, msg.Certificate)
VOTES = _VOTED.votes


def test_the_evidence_needs_q_votes_on_its_h3() -> None:
    walk(certificate(VOTES[:3]))
    assert refused_rule(walk, certificate(VOTES[:2])) == "4.6-4"
    assert refused_rule(walk, certificate(VOTES[::-1])) == "4.6-2"
    forged = replace(VOTES[0], signature=VOTES[1].signature)
    assert refused_rule(walk, certificate([forged, *VOTES[1:]])) == "4.6-3"
    no_list = replace(PAST, certificate=b"\xc0")
    assert refused_rule(walk, no_list) == "3.3-6"


def test_the_members_of_a_past_round_are_those_of_the_roster() -> None:
    bent = replace(WORLD.server.manifest, roster_hash=blob(1))
    sid = transcript.session_id(codec.encode_body(bent))
    envelope = seal_body(
        msg.Manifest,
        codec.encode_body(bent),
        identity=WORLD.consortium.aggregator,
        receiver=AGGREGATOR,
        sid=sid,
        h=sid,
    )
    past = replace(PAST, manifest=codec.encode_envelope(envelope))
    assert refused_rule(walk, past) == "4.8-4"
