"""Manifests that a client must refuse (spec 2.2, 3.3, 3.4, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol_spec.model.checks import Standing
from protocol_spec.model.client import Client
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.encoding import real
from protocol_spec.model.entropy import Entropy
from protocol_spec.model.envelope import Envelope, seal
from protocol_spec.model.keys import session_id
from protocol_spec.model.messages import Body, encode_body
from protocol_spec.model.record import Names, party_json, roster_json
from protocol_spec.model.refusal import switched_off
from protocol_spec.model.setting import AGGREGATOR, HC, MODEL_HASH, OUTSIDER, identity
from protocol_spec.model.twins import found_rule, refuse_json

VICTIM = "h01"
SAID = {"task_id": "task", "round_no": 1, "model_hash": MODEL_HASH}
OTHER = b"\x07" * 32


def fields(**changes: Any) -> Callable[[Body], None]:
    """Set fields."""

    def change(body: Body) -> None:
        body.update(changes)

    return change


def _unsorted(body: Body) -> None:
    rows = body["members"]
    rows[-2], rows[-1] = rows[-1], rows[-2]


def _unknown_member(body: Body) -> None:
    body["members"].append(["zoo", OTHER])


def _another_nonce(body: Body) -> None:
    body["members"][0][1] = OTHER


def _two_members(body: Body) -> None:
    body["members"] = body["members"][:2]
    body["c"] = 0


def _with_outsider(body: Body) -> None:
    """Nine corrupt of ten is not what the test is about: c = 2 of 5 members."""
    body["members"].append([OUTSIDER, OTHER])
    body["c"] = 2


NOISE = ["discrete-gaussian", real(1.0), "zero-out", real(1e-5)]

MANIFESTS: tuple[tuple[str, str, Callable[[Body], None]], ...] = (
    ("n_2", "2.2-1", _two_members),
    ("c_too_large", "2.2-1", _with_outsider),
    ("m_0", "2.2-2", fields(m=0)),
    ("m_too_large", "2.2-2", fields(m=2**40 + 1, ranges=[[2**40 + 1, real(8.0)]])),
    ("chunk_log2", "2.2-2", fields(chunk_log2=11)),
    ("bits", "2.2-3", fields(bits=7)),
    ("bits_25", "2.2-3", fields(bits=25)),
    ("range_above_clip", "2.2-3", fields(ranges=[[39, real(1.0)], [1, real(8.5)]])),
    ("range_0", "2.2-3", fields(ranges=[[1, real(0.0)], [39, real(8.0)]])),
    ("ratio", "2.2-3", fields(clip=real(2.0**900), ranges=[[40, real(0.5)]])),
    ("ranges_none", "2.2-10", fields(ranges=[])),
    ("ranges_short", "2.2-10", fields(ranges=[[39, real(8.0)]])),
    ("ranges_long", "2.2-10", fields(ranges=[[20, real(8.0)], [21, real(8.0)]])),
    ("ranges_empty_one", "2.2-10", fields(ranges=[[40, real(8.0)], [0, real(8.0)]])),
    ("ranges_rotated", "2.2-10", fields(rotation=OTHER, ranges=[[20, real(8.0)]] * 2)),
    ("ranges_1025", "2.2-10", fields(m=1025, ranges=[[1, real(8.0)]] * 1025)),
    ("extra_twice", "2.2-4", fields(extras=[["a", 0, 1], ["a", 0, 1]])),
    ("extra_weight", "2.2-4", fields(extras=[["weight", 0, 1]])),
    ("extra_empty_range", "2.2-4", fields(extras=[["a", 1, 0]])),
    ("extra_name", "2.2-4", fields(extras=[["a-b", 0, 1]])),
    ("extras_65", "2.2-4", fields(extras=[[f"e{i}", 0, 1] for i in range(65)])),
    ("extra_too_wide", "2.2-5", fields(extras=[["a", 0, 2**61]])),
    ("extra_too_low", "2.2-5", fields(extras=[["a", -(2**61), 0]])),
    ("weighting", "2.2-6", fields(weighting="squared")),
    ("uniform_w_max", "2.2-6", fields(w_max=2)),
    ("w_max", "2.2-6", fields(weighting="weighted", w_max=2**31 + 1)),
    ("graph", "2.2-7", fields(graph="star")),
    ("graph_without_losses", "2.2-7", fields(graph="regular")),
    ("graph_too_small", "2.2-7", fields(graph="regular", losses=0)),
    ("losses", "2.2-7", fields(losses=1)),
    ("losses_too_many", "2.2-7", fields(graph="regular", losses=2)),
    ("keystream", "2.2-7", fields(keystream="aes128ctr")),
    ("mechanism", "2.2-8", fields(dp=["gaussian", *NOISE[1:]])),
    ("noise_0", "2.2-8", fields(dp=[NOISE[0], real(0.0), *NOISE[2:]])),
    ("noise_too_wide", "2.2-8", fields(dp=[NOISE[0], real(1e12), *NOISE[2:]])),
    ("adjacency", "2.2-8", fields(dp=[*NOISE[:2], "add-remove", NOISE[3]])),
    ("delta_1", "2.2-8", fields(dp=[*NOISE[:3], real(1.0)])),
    ("duration_0", "2.2-9", fields(durations=[1, 2, 3, 4, 5, 6, 0])),
    ("durations_6", "2.2-9", fields(durations=[1, 2, 3, 4, 5, 6])),
    ("order", "4.1-1", _unsorted),
    ("stranger", "4.1-1", _unknown_member),
    ("roster_hash", "4.1-2", fields(roster_hash=OTHER)),
    ("nonce", "4.1-3", _another_nonce),
    ("model_hash", "4.1-4", fields(model_hash=OTHER)),
    ("round", "4.1-4", fields(round_no=2)),
    ("task", "4.1-4", fields(task_id="other")),
    ("attempt_4", "4.1-6", fields(attempt=4)),
    ("attempt_0", "4.1-6", fields(attempt=0)),
    ("previous_link", "4.1-7", fields(previous_link=OTHER)),
    ("round_0", "3.3-6", fields(round_no=0)),
)


def all_bad_manifests(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """Every file: (name, content)."""
    for why, rule, change in MANIFESTS:
        body = honest_manifest(cohort)
        change(body)
        data = sealed_manifest(encode_body("Manifest", body))
        yield f"manifest_bad_{why}", manifest_json(cohort, rule, data, Standing())
    yield from _with_memory(cohort)
    yield from _encoded(cohort)


def _with_memory(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """Rules that depend on what the client kept, or on its policy."""
    good = sealed_manifest(cohort.server.body)
    second = sealed_manifest(
        encode_body("Manifest", {**honest_manifest(cohort), "attempt": 2})
    )
    cases = (
        ("policy", "4.1-5", good, Standing(min_members=5)),
        ("joined", "4.1-6", good, Standing(joined=(1, 1))),
        ("joined_later_round", "4.1-6", good, Standing(joined=(2, 1))),
        ("forked", "4.1-7", good, Standing(head=OTHER)),
        ("spent", "4.1-8", second, Standing(joined=(1, 1), spent=1)),
    )
    for why, rule, data, standing in cases:
        yield f"manifest_bad_{why}", manifest_json(cohort, rule, data, standing)


def _encoded(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """Rules on bytes: encoding, sid, signature, version."""
    body = cohort.server.body
    padded = body.replace(b"\xa4task\x01\x01", b"\xa4task\xcc\x01\x01", 1)
    cases = (
        ("not_shortest", "3.3-4", sealed_manifest(padded)),
        ("trailing", "3.3-2", sealed_manifest(body + b"\xc0")),
        ("sid", "3.4-1", sealed_manifest(body, sid=OTHER)),
        ("signature", "3.4-3", sealed_manifest(body, secret=identity("h02"))),
        ("version", "3.4-2", sealed_manifest(body, version=0)),
    )
    for why, rule, data in cases:
        yield f"manifest_bad_{why}", manifest_json(cohort, rule, data, Standing())


def honest_manifest(cohort: Cohort) -> Body:
    """The Manifest of the honest session, to be changed."""
    manifest = cohort.server.manifest
    members = [list(member) for member in manifest["members"]]
    return {**manifest, "members": members}


def sealed_manifest(
    body: bytes,
    *,
    sid: bytes | None = None,
    secret: bytes | None = None,
    version: int = 1,
) -> bytes:
    """A Manifest's envelope, signed by S unless told otherwise."""
    h = session_id(body)
    key = secret or identity(AGGREGATOR)
    sealed = seal(key, "Manifest", sid or h, AGGREGATOR, "", h, body)
    return Envelope(**{**vars(sealed), "version": version}).encode()


def manifest_json(cohort: Cohort, rule: str, data: bytes, standing: Standing) -> Body:
    """A client that says Ready and then gets this Manifest."""
    machine, operations = _ready_client(cohort, standing)
    effects = machine.handle("received", {"peer": AGGREGATOR, "envelope": data})
    if found_rule(effects) != rule:
        raise ValueError(f"{effects} instead of {rule}")
    given = {"peer": AGGREGATOR, "envelope": data}
    operations.append(("received", given, effects))
    party = cohort.parties[VICTIM]
    party.standing, kept = _copied(standing), party.standing
    names = Names({data: "bad"})
    out: Body = {
        "kind": "session",
        "about": f"rule {rule} refuses the Manifest",
        "roster": roster_json(cohort.roster_parts),
        "aggregator": AGGREGATOR,
        "hc": HC.hex(),
        "parties": {VICTIM: party_json(cohort, VICTIM, operations, names)},
        "envelopes": names.table(),
    }
    party.standing = kept
    out["refuse"] = refuse_json(rule, "c", _alone(cohort, rule, data, standing))
    out["refuse"]["party"] = VICTIM
    return out


def _copied(standing: Standing) -> Standing:
    return Standing(**vars(standing))


def _ready_client(
    cohort: Cohort, standing: Standing
) -> tuple[Client, list[tuple[str, Body, Body]]]:
    """The victim, afresh, after InputReady; its nonce is the honest session's."""
    entropy = Entropy(f"{cohort.name}/{VICTIM}")
    args = (VICTIM, identity(VICTIM), AGGREGATOR, HC, cohort.roster)
    machine = Client(*args, _copied(standing), entropy)
    return machine, [("input_ready", SAID, machine.handle("input_ready", SAID))]


def _alone(cohort: Cohort, rule: str, data: bytes, standing: Standing) -> bool:
    machine, _ = _ready_client(cohort, standing)
    with switched_off(rule):
        try:
            effects = machine.handle("received", {"peer": AGGREGATOR, "envelope": data})
        except (KeyError, ValueError, TypeError, ZeroDivisionError):
            return False
    return found_rule(effects) is None
