"""secagg.signing: envelopes, and what is checked of one (3.4)."""

import hashlib
from dataclasses import replace

import pytest

from secagg import codec, signing
from secagg import messages as msg
from secagg.crypto import sign
from secagg.engine import NumpyThreads
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId, SessionId
from secagg.side_by_side import lent
from tests.helpers import refused_rule
from tests.invariants import lp
from tests.samples import SAMPLES, blob

SID = SessionId(blob(1))
H = blob(2)
U, S = PeerId("u"), PeerId("s")
ME = Identity.generate(U, SeededEntropy(b"u"))
THEM = Identity.generate(S, SeededEntropy(b"s"))
KINDS = list(SAMPLES)


def sealed(kind=msg.Consistency, identity=ME, **other):
    fields = {"identity": identity, "receiver": S, "sid": SID, "h": H}
    return signing.seal(SAMPLES[kind][0], **{**fields, **other})


def opened(envelope, public=ME.key.public, h=H, members=10):
    return signing.open_envelope(envelope, public=public, h=h, members=members)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_was_sealed_opens_as_it_was(kind) -> None:
    envelope = sealed(kind)
    assert (envelope.type, envelope.sid, envelope.sender) == (kind.__name__, SID, U)
    assert opened(envelope) == SAMPLES[kind][0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_for_all_is_addressed_to_nobody(kind) -> None:
    expected = "" if msg.HEADERS[kind].to_all else "s"
    assert sealed(kind).receiver == expected


@pytest.mark.parametrize(
    "change",
    [
        {"type": "MaskedInput"},
        {"sid": SessionId(blob(9))},
        {"sender": S},
        {"receiver": PeerId("")},
        {"body": codec.encode_body(msg.Consistency(h3=blob(7)))},
        {"signature": blob(5, 64)},
        {"signature": bytes(64)},
    ],
)
def test_3_4_3_refuses_an_envelope_changed_in_any_field(change) -> None:
    assert refused_rule(opened, replace(sealed(), **change)) == "3.4-3"


def test_3_4_3_refuses_another_key_and_another_transcript() -> None:
    assert refused_rule(opened, sealed(), public=THEM.key.public) == "3.4-3"
    assert refused_rule(opened, sealed(), h=blob(3)) == "3.4-3"


def test_a_body_is_decoded_only_after_its_signature_verified() -> None:
    envelope = signing.seal_body(
        msg.Consistency, b"\xc1", identity=ME, receiver=S, sid=SID, h=H
    )
    assert refused_rule(opened, envelope) == "3.3-2"
    forged = replace(envelope, signature=bytes(64))
    assert refused_rule(opened, forged) == "3.4-3"


def test_a_body_over_the_limit_of_n_is_refused_by_3_3_1() -> None:
    message = msg.DealerList(dealers=tuple(PeerId("x" * 60) for _ in range(9)))
    envelope = signing.seal(message, identity=ME, receiver=S, sid=SID, h=H)
    assert opened(envelope, members=9) == message
    assert refused_rule(opened, envelope, members=7) == "3.3-1"


def test_3_4_4_refuses_a_sender_that_is_not_the_connections() -> None:
    envelope = sealed()
    signing.check_route(envelope, peer=U, me=S)
    assert refused_rule(signing.check_route, envelope, peer=S, me=S) == "3.4-4"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_3_4_5_refuses_another_receiver(kind) -> None:
    envelope = sealed(kind)
    signing.check_route(envelope, peer=U, me=S)
    for other in {PeerId("v"), PeerId(""), S} - {envelope.receiver}:
        turned = replace(envelope, receiver=other)
        assert refused_rule(signing.check_route, turned, peer=U, me=S) == "3.4-5"


def test_a_quoted_signature_is_that_of_the_envelope() -> None:
    message = msg.MaskedInput(root=blob(6))
    envelope = signing.seal(message, identity=ME, receiver=S, sid=SID, h=H)

    def quoted(message=message, signature=envelope.signature, **other):
        fields = {"sender": U, "receiver": S, "sid": SID, "h": H}
        public = ME.key.public
        return signing.signed_by(public, signature, message, **{**fields, **other})

    assert quoted()
    assert not quoted(message=msg.MaskedInput(root=blob(1)))
    assert not quoted(message=msg.Consistency(h3=message.root))
    assert not quoted(signature=sealed().signature)
    assert not quoted(sender=S)
    assert not quoted(receiver=U)
    assert not quoted(sid=SessionId(blob(4)))
    assert not quoted(h=blob(4))


@pytest.mark.parametrize("forged", [None, 0, 40, 69])
def test_of_many_quoted_signatures_each_is_judged_alone(forged) -> None:
    people = [
        Identity.generate(PeerId(f"u{k}"), SeededEntropy(b"%d" % k)) for k in range(70)
    ]
    message = msg.Consistency(h3=blob(6))
    quoted = []
    for k, who in enumerate(people):
        h = blob(9) if k == forged else H
        envelope = signing.seal(message, identity=who, receiver=S, sid=SID, h=h)
        quoted.append((who.id, who.key.public, envelope.signature, message))
    with lent(NumpyThreads(16, workers=2).on_threads):
        said = signing.all_signed_by(quoted, receiver=S, sid=SID, h=H)
    assert said == [k != forged for k in range(70)]


def test_the_signature_is_ed25519_over_the_specs_parts() -> None:
    envelope = sealed()
    body = hashlib.sha256(envelope.body).digest()
    signed = lp(b"secagg/1/sig", b"Consistency", SID, b"u", b"s", H, body)
    assert sign.verify(ME.key.public, envelope.signature, signed)


def test_an_envelopes_hash_tells_any_other_envelope() -> None:
    envelope = sealed()
    others = [
        replace(envelope, signature=bytes(64)),
        replace(envelope, receiver=U),
        sealed(msg.MaskedInput),
    ]
    hashes = {signing.envelope_hash(e) for e in [envelope, *others]}
    assert len(hashes) == 4
    assert signing.envelope_hash(sealed()) == signing.envelope_hash(envelope)
