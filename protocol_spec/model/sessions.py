"""Whole sessions: every cohort, with losses at every round (vectors/README.md)."""

from __future__ import annotations

from collections.abc import Iterator

from protocol_spec.model.cohort import Cohort, Tamper
from protocol_spec.model.encoding import real
from protocol_spec.model.envelope import Envelope, decode_envelope, seal
from protocol_spec.model.messages import Body, decode_body, encode_body
from protocol_spec.model.near import among, closed
from protocol_spec.model.record import session_json
from protocol_spec.model.server import PHASES
from protocol_spec.model.setting import AGGREGATOR, hospitals, identity

COHORTS = ((4, 1), (6, 1), (10, 1), (10, 3))
SPARSE = (8, 0, 1)
"""Members, c and losses of the smallest regular graph that bears a loss."""

LOSS_PHASES = tuple(phase for phase in PHASES[:7] if phase != "coin")
WEIGHTED: Body = {
    "weighting": "weighted",
    "w_max": 100,
    "ranges": [[40, real(0.75)]],
    "extras": [["cases", 0, 100_000], ["offset", -(2**40), 2**40]],
}

RANGED: Body = {
    "weighting": "weighted",
    "w_max": 31,
    "bits": 12,
    "ranges": [[7, real(0.5)], [1, real(8.0)], [32, real(1.0)]],
}

ROTATED: Body = {
    "rotation": bytes(range(32)),
    "bits": 12,
    "clip": real(4.0),
    "ranges": [[40, real(1.0)]],
}

NOISY: Body = {
    "dp": ["discrete-gaussian", real(0.75), "replace-one", real(1e-5)],
    "ranges": [[40, real(0.75)]],
    "extras": [["cases", 0, 1000]],
}


def cohort_sessions(n: int, c: int) -> Iterator[tuple[str, Body]]:
    """No loss, then the last d members silent from each round on."""
    name = f"session_n{n}_c{c}"
    whole = Cohort(name, n, c).run()
    yield name, session_json(whole, f"n = {n}, c = {c}: nobody is lost")
    lost = hospitals(n)[n - whole.server.params.d :]
    for phase in LOSS_PHASES:
        silent = dict.fromkeys(lost, phase)
        cohort = Cohort(f"{name}_{phase}", n, c, silent=silent).run()
        about = f"n = {n}, c = {c}: {', '.join(lost)} silent from {phase} on"
        yield f"{name}_{phase}", session_json(cohort, about)


def regular(losses: int) -> Body:
    """The fields of a Manifest that ask for the regular graph."""
    return {"graph": "regular", "losses": losses}


def sparse_sessions() -> Iterator[tuple[str, Body]]:
    """The regular graph: nobody lost, then the last member from some rounds on."""
    n, c, d = SPARSE
    name, asked = f"session_sparse_n{n}_c{c}", regular(d)
    whole = Cohort(name, n, c, changes=asked).run()
    yield name, session_json(whole, f"regular graph, n = {n}, c = {c}: nobody is lost")
    lost = hospitals(n)[-1]
    for phase in ("share_ack", "masked_input", "unmasking"):
        cohort = Cohort(f"{name}_{phase}", n, c, changes=asked, silent={lost: phase})
        about = f"regular graph, n = {n}, c = {c}: {lost} silent from {phase} on"
        yield f"{name}_{phase}", session_json(cohort.run(), about)
    yield from _further_sparse_sessions()


def _further_sparse_sessions() -> Iterator[tuple[str, Body]]:
    """A coin that stays away; losses at two rounds; a bad dealer."""
    n, c, d = SPARSE
    lost = hospitals(n)[-1]
    name = "session_sparse_no_coin"
    cohort = Cohort(name, n, c, changes=regular(d), silent={lost: "coin"}).run()
    about = f"regular graph: {lost} does not open its coin, a clean abort that names it"
    yield name, session_json(cohort, about)
    name, silent = "session_sparse_mixed", {"h04": "masked_input", "h09": "share_ack"}
    spoilt = {"h06": spoil("h01", "h02", "h03", "h07", "h08")}
    cohort = Cohort(name, 12, 1, changes=regular(2), silent=silent).run()
    about = "regular graph, n = 12, c = 1: a dealer is lost, then another's vector"
    yield name, session_json(cohort, about)
    name = "session_sparse_excluded"
    cohort = Cohort(name, 12, 1, changes=regular(2), corrupt=spoilt).run()
    about = (
        "regular graph: h06 deals spoilt shares, too many of its neighbours complain"
    )
    yield name, session_json(cohort, about)


def special_sessions() -> Iterator[tuple[str, Body]]:
    """Losses at several rounds, weights and extras, two chunks, lateness, malice."""
    silent = {"h02": "share_keys", "h05": "share_ack"}
    silent |= {"h07": "masked_input", "h10": "unmasking"}
    cohort = Cohort("session_mixed", 10, 1, silent=silent).run()
    yield (
        "session_mixed",
        session_json(cohort, "one member lost at each of four rounds"),
    )
    cohort = Cohort("session_weighted", 4, 1, changes=WEIGHTED).run()
    about = "weighted, two extras, r < C, so that coordinates saturate"
    yield "session_weighted", session_json(cohort, about)
    long = {"m": 4200, "clip": real(128.0), "ranges": [[4200, real(128.0)]]}
    silent = {"h03": "masked_input"}
    cohort = Cohort("session_two_chunks", 4, 1, changes=long, silent=silent).run()
    yield "session_two_chunks", session_json(cohort, "two chunks, one member lost")
    cohort = Cohort("session_late", 4, 1, late=("h02",)).run()
    about = "h02's vector is too late; it votes, releases and gets the result"
    yield "session_late", session_json(cohort, about)
    cohort = Cohort("session_repeats", 4, 1, repeat=True).run()
    about = "every message comes twice; the second changes nothing"
    yield "session_repeats", session_json(cohort, about)
    cohort = Cohort("session_ranges", 4, 1, changes=RANGED).run()
    yield "session_ranges", session_json(cohort, "three ranges, weighted")
    silent = {"h02": "masked_input"}
    cohort = Cohort("session_rotated", 4, 1, changes=ROTATED, silent=silent).run()
    about = "rotated: 40 coordinates in a block of 64; one member lost"
    yield "session_rotated", session_json(cohort, about)
    both = {**NOISY, "ranges": ROTATED["ranges"], "rotation": bytes(32)}
    cohort = Cohort("session_rotated_noise", 4, 1, changes=both).run()
    yield "session_rotated_noise", session_json(cohort, "rotated, with noise")
    cohort = Cohort("session_noise", 4, 1, changes=NOISY).run()
    yield "session_noise", session_json(cohort, "noise, announced and recorded")
    yield from _complaints()
    yield from _aborted_sessions()
    yield from _next_rounds()


def _next_rounds() -> Iterator[tuple[str, Body]]:
    """The chain: a discarded round moves the head like any other."""
    cohort = Cohort("session_next_round", 4, 1, discard=True).run()
    yield "session_discarded", session_json(cohort, "the sum is discarded")
    cohort.discard = False
    about = "the clients of session_discarded go on to the next round"
    yield "session_next_round", session_json(cohort.next_round(), about)


def _complaints() -> Iterator[tuple[str, Body]]:
    """A dealer deals a bad share to one member, or to more than c."""
    cohort = Cohort("session_complaint", 4, 1, corrupt={"h03": spoil("h01")}).run()
    about = "h03 deals h01 a spoilt share: one complaint, h03 stays in U2"
    yield "session_complaint", session_json(cohort, about)
    spoilt = {"h03": spoil("h01", "h05")}
    cohort = Cohort("session_excluded", 6, 1, corrupt=spoilt).run()
    about = "h03 deals two spoilt shares: more than c complaints, h03 is not in U2"
    yield "session_excluded", session_json(cohort, about)
    cohort = Cohort("session_refusal", 4, 1, corrupt={"h04": refuse("ShareKeys")}).run()
    about = "h04 sends a Refusal in place of its shares, and the others go on"
    yield "session_refusal", session_json(cohort, about)


def refuse(kind: str) -> Tamper:
    """A member that leaves by a Refusal where it should send `kind`."""

    def tamper(cohort: Cohort, v: str, data: bytes) -> bytes:
        envelope = decode_envelope(data, cohort.n)
        if envelope.type != kind:
            return data
        encoded = encode_body("Refusal", {"rule": "4.2-2", "detail": "a bad signature"})
        sid = envelope.sid
        args = (identity(v), "Refusal", sid, v, AGGREGATOR, sid, encoded)
        return seal(*args).encode()

    return tamper


def _aborted_sessions() -> Iterator[tuple[str, Body]]:
    """One member more than d is lost; then a second attempt that goes well."""
    silent = {"h02": "share_keys", "h04": "share_keys"}
    cohort = Cohort("session_second_attempt", 4, 1, silent=silent).run()
    first = cohort.parties[AGGREGATOR]
    about = "h02 and h04 lost at share_keys: a clean abort"
    yield "session_aborted", session_json(cohort, about)
    late = Cohort("session_spent", 4, 1, silent=dict.fromkeys(silent, "consistency"))
    about = "h02 and h04 lost at consistency: roots were stated, so the round is over"
    yield "session_spent", session_json(late.run(), about)
    cohort.silent = {}
    for v in silent:
        data = first.machine.seal_message("Abort", "", _aborted_body(first.operations))
        cohort.step(v, "received", {"peer": AGGREGATOR, "envelope": data})
    cohort.open({**first.machine.manifest, "attempt": 2})
    about = "the clients of session_aborted go on to a second attempt"
    yield "session_second_attempt", session_json(cohort, about)


def _aborted_body(operations: list[tuple[str, Body, Body]]) -> Body:
    aborted = operations[-1][2]["aborted"]
    return {
        "rule": aborted["code"],
        "detail": "the session ends",
        "missing": aborted["missing"],
    }


# --- malice ---------------------------------------------------------------


def resealed(envelope: Envelope, body: Body, h: bytes) -> bytes:
    """Another body in a member's envelope, properly signed by it."""
    encoded = encode_body(envelope.type, body)
    secret = identity(envelope.sender)
    sealed = seal(
        secret,
        envelope.type,
        envelope.sid,
        envelope.sender,
        envelope.receiver,
        h,
        encoded,
    )
    return sealed.encode()


def spoil(*victims: str) -> Tamper:
    """A dealer whose sealed shares to some members do not open: one bit is flipped."""

    def tamper(cohort: Cohort, v: str, data: bytes) -> bytes:
        envelope = decode_envelope(data, cohort.n)
        if envelope.type != "ShareKeys":
            return data
        body = decode_body("ShareKeys", envelope.body, cohort.n)
        holders = closed(cohort.server.graph, v, cohort.server.u1)
        for victim in among(victims, holders):
            row = body["entries"][holders.index(victim)]
            row[0] = row[0][:-1] + bytes([row[0][-1] ^ 1])
        return resealed(envelope, body, cohort.server.book.h1)

    return tamper
