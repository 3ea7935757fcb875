"""Vectors of histories, uploads and released vectors (spec 4.8, 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from protocol_spec.model import chain, checks, plane
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.encoding import unpack
from protocol_spec.model.envelope import decode_envelope
from protocol_spec.model.field import prime
from protocol_spec.model.messages import Body, decode_body, encode_body
from protocol_spec.model.record import roster_json
from protocol_spec.model.roster import LIMIT
from protocol_spec.model.setting import AGGREGATOR, hospitals
from protocol_spec.model.twins import judged

NONCE_S, NONCE_U, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x07" * 32
NOW = 1_700_000_000_000
MEMBER = "h01"


def all_elsewhere(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    yield from histories()
    yield from uploads(cohort)
    yield from blobs(cohort)


# --- histories --------------------------------------------------------------------


def histories() -> Iterator[tuple[str, Body]]:
    """Two rounds of a task, walked from the start (rule 4.8-4)."""
    first = Cohort("history_1", 4, 1).run()
    link = first.parties[AGGREGATOR].operations[-1][2]["completed"]["link"]
    changes = {"round_no": 2, "previous_link": link}
    second = Cohort("history_2", 4, 1, changes=changes).run()
    rounds = [_past(first), _past(second)]
    yield "history", _history_file(first, rounds, None)
    later = Cohort("history_3", 4, 1, changes=changes, version=2).run()
    both = [_past(first), _past(later)]
    yield "history_versions", _history_file(later, both, None, earlier=[first])
    unknown = _history_file(first, both, "4.8-4")
    yield "history_bad_unknown_roster", unknown
    certificate = unpack(rounds[1][2], LIMIT)[0]
    few = encode_body("Certificate", {"votes": certificate[:2]})
    cases = {
        "skipped": [rounds[1]],
        "order": [rounds[1], rounds[0]],
        "few_votes": [rounds[0], [*rounds[1][:2], few, rounds[1][3]]],
        "other_votes": [rounds[0], [*rounds[1][:2], rounds[0][2], rounds[1][3]]],
        "other_h3": [rounds[0], [rounds[1][0], OTHER, *rounds[1][2:]]],
        "small_u3": [rounds[0], [*rounds[1][:3], _with_u3(second, hospitals(2))]],
        "other_manifest": [rounds[0], [rounds[0][0], *rounds[1][1:]]],
    }
    for why, changed in cases.items():
        yield f"history_bad_{why}", _history_file(first, changed, "4.8-4")


def _with_u3(cohort: Cohort, u3: list[str]) -> bytes:
    """The Result of a session, signed once more with another U3."""
    envelope = decode_envelope(_past(cohort)[3], cohort.n)
    body = {**decode_body("Result", envelope.body, cohort.n), "u3": u3}
    return cohort.server.seal_message("Result", "", body)


def _past(cohort: Cohort) -> list[bytes]:
    """[Manifest envelope, h3, Certificate body, Result envelope]."""
    sent: dict[str, bytes] = {}
    for event, given, _ in cohort.parties[MEMBER].operations:
        if event == "received":
            kind = unpack(given["envelope"], LIMIT)[1]
            sent[kind] = given["envelope"]
    certificate = unpack(sent["Certificate"], LIMIT)[5]
    h3 = cohort.server.transcripts["h3"]
    return [sent["Manifest"], h3, certificate, sent["Result"]]


def _history_file(
    cohort: Cohort,
    rounds: list[list[bytes]],
    rule: str | None,
    *,
    earlier: Sequence[Cohort] = (),
) -> Body:
    history = {"rounds": rounds}
    rosters = [one.roster for one in (*earlier, cohort)]

    def run() -> bytes:
        return chain.walk(history, "task", bytes(32), AGGREGATOR, rosters)

    out: Body = {
        "kind": "history",
        "about": "the links after the head, as History carries them",
        "roster": roster_json(cohort.roster_parts),
        "earlier": [roster_json(one.roster_parts) for one in earlier],
        "aggregator": AGGREGATOR,
        "task_id": "task",
        "head": bytes(32).hex(),
        "history": encode_body("History", history).hex(),
    }
    if rule is None:
        return {**out, "new_head": run().hex()}
    return {**out, "refuse": judged(rule, "c", run)}


# --- uploads ------------------------------------------------------------------------

WIDTH, LENGTH, LOG2 = 18, 4101, 12


def uploads(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """Chunks of one member (rules 7.1-1 to 7.1-5)."""
    sid = cohort.server.sid
    elements = [place * 40_503 % prime(WIDTH) for place in range(LENGTH)]
    packed = plane.chunks(elements, WIDTH, LOG2)
    frames = [plane.frame(sid, index, chunk) for index, chunk in enumerate(packed)]
    root = plane.root_of(sid, packed)
    again = [frames[0], frames[0], frames[1]]
    steps: list[int | None] = [0, None, 1]
    yield "upload", {**_upload_file(sid, again, MEMBER, steps), "root": root.hex()}
    last = packed[1]
    # Five elements of 18 bits end 90 bits into 12 bytes: six bits are padding.
    padded = last[:-1] + bytes([last[-1] | 0x80])
    large = plane.pack_elements([*elements[4096:4100], prime(WIDTH)], WIDTH)
    bad: dict[str, tuple[str, list[bytes]]] = {
        "kind": ("7.1-1", [b"\x03" + frames[0][1:]]),
        "cut_off": ("7.1-1", [frames[0][:36]]),
        "order": ("7.1-2", [frames[1]]),
        "other_session": ("7.1-2", [plane.frame(OTHER, 0, packed[0])]),
        "beyond": ("7.1-2", [*frames, plane.frame(sid, 2, last)]),
        "length": ("7.1-3", [frames[0], plane.frame(sid, 1, last[:-1])]),
        "padding": ("7.1-4", [frames[0], plane.frame(sid, 1, padded)]),
        "element": ("7.1-5", [frames[0], plane.frame(sid, 1, large)]),
    }
    for why, (rule, sent) in bad.items():
        out = _upload_file(sid, sent, MEMBER, [*range(len(sent) - 1)])
        out["refuse"] = judged(rule, "s", _uploading(sid, sent, MEMBER))
        yield f"upload_bad_{why}", out
    out = _upload_file(sid, frames[:1], "h04", [])
    out["refuse"] = judged("7.1-2", "s", _uploading(sid, frames[:1], "h04"))
    yield "upload_bad_not_in_u2", out


def _uploading(sid: bytes, frames: list[bytes], peer: str) -> Callable[[], Any]:
    def run() -> list[int | None]:
        upload = plane.Upload(sid, WIDTH, LENGTH, LOG2, hospitals(3), peer)
        return [upload.accept(data) for data in frames]

    return run


def _upload_file(
    sid: bytes, frames: list[bytes], peer: str, stored: list[int | None]
) -> Body:
    return {
        "kind": "upload",
        "about": "frames of one member, in order",
        "sid": sid.hex(),
        "w": WIDTH,
        "M": LENGTH,
        "chunk_log2": LOG2,
        "u2": hospitals(3),
        "peer": peer,
        "frames": [data.hex() for data in frames],
        "stored": stored,
    }


# --- blobs ----------------------------------------------------------------------------


def blobs(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """A released vector beside its Result (rule 4.8-2)."""
    vector = cohort.result["vector"]
    body = checks_body(cohort)
    checks.check_vector(body, vector)
    cases = {"size": vector[:-4], "hash": vector[:-1] + bytes([vector[-1] ^ 1])}
    yield "vector", _blob_file(body, vector, None)
    for why, data in cases.items():
        yield f"vector_bad_{why}", _blob_file(body, data, "4.8-2")


def checks_body(cohort: Cohort) -> Body:
    """Hash, size and width of the released vector."""
    given = cohort.parties[AGGREGATOR].operations[-1][1]["result"]
    values = unpack(given, LIMIT)
    names = ("vector_hash", "vector_size", "vector_width")
    return dict(zip(names, values[5:8], strict=True))


def _blob_file(body: Body, data: bytes, rule: str | None) -> Body:
    out: Body = {
        "kind": "vector",
        "about": "a released vector beside what the Result states",
        "hash": body["vector_hash"].hex(),
        "size": body["vector_size"],
        "width": body["vector_width"],
        "data": data.hex(),
    }
    if rule is None:
        return out
    run = partial(checks.check_vector, body, data)
    return {**out, "refuse": judged(rule, "c", run)}
