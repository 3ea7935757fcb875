"""One message of every type, and the same written by hand as it lies on the wire."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from secagg import messages as msg
from secagg.consortium import Consortium
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.task import Task

A, B, S = PeerId("a"), PeerId("b-2"), PeerId("s")


def blob(tag: int, size: int = 32) -> bytes:
    """Bytes that no other tag gives."""
    return bytes([tag]) * size


def f64(x: float) -> bytes:
    """A real as 8 bytes."""
    return struct.pack("<d", x)


def keys(tag: int) -> msg.AdvertiseKeys:
    return msg.AdvertiseKeys(
        c_pk=blob(tag), s_pk=blob(tag + 1), b_commitment=blob(tag + 2)
    )


NOISE = msg.NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.1,
    adjacency="zero-out",
    delta=1e-5,
)

MANIFEST = msg.Manifest(
    task_id="t-1",
    round_no=7,
    attempt=2,
    aggregator=S,
    roster_hash=blob(1),
    members=(
        msg.Member(peer=A, ready_nonce=blob(2)),
        msg.Member(peer=B, ready_nonce=blob(3)),
    ),
    corruption_bound=1,
    length=1 << 33,
    extras=(msg.Extra(name="count", low=-5, high=1 << 40),),
    bits=16,
    clip=1.5,
    ranges=((1 << 33, 0.25),),
    weighting="weighted",
    max_weight=1000,
    rotation=None,
    graph="complete",
    losses=None,
    keystream="chacha20",
    chunk_log2=18,
    dp=NOISE,
    model_hash=blob(4),
    previous_link=blob(5),
    durations=(1, 2, 3, 4, 5, 6, 7),
)


def sound_manifest(n: int = 4, c: int = 1, **other: Any) -> msg.Manifest:
    """A Manifest of n members that breaks no rule of 2.2: uniform, without extras.

    ``range`` in `other` stands for one range of all coordinates.
    """
    members = tuple(
        msg.Member(peer=PeerId(f"u{i:04}"), ready_nonce=blob(1)) for i in range(n)
    )
    usual: dict[str, Any] = {
        "members": members,
        "corruption_bound": c,
        "length": 10,
        "extras": (),
        "bits": 16,
        "clip": 1.0,
        "weighting": "uniform",
        "max_weight": 1,
        "dp": None,
    }
    length, radius = other.get("length", 10), other.pop("range", 1.0)
    usual["ranges"] = ((length, radius),)
    return replace(MANIFEST, **{**usual, **other})


def first_manifest(consortium: Consortium, task: Task, **other: Any) -> msg.Manifest:
    """The Manifest of a task's first session, over all silos of a consortium."""
    first: dict[str, Any] = {
        "aggregator": consortium.aggregator.id,
        "roster": consortium.roster,
        "ready": {u: blob(0) for u in consortium.silos},
        "round_no": 1,
        "attempt": 1,
        "model_hash": blob(0),
        "previous_link": blob(0),
    }
    return task.manifest(**{**first, **other})


def parameters(n: int = 4, c: int = 1, **other: Any) -> Parameters:
    """The parameters of a sound Manifest, with `other` fields."""
    return Parameters.of(sound_manifest(n, c, **other))


SAMPLES: dict[type[msg.Message], tuple[msg.Message, list[Any]]] = {
    msg.Manifest: (
        MANIFEST,
        [
            "t-1",
            7,
            2,
            "s",
            blob(1),
            [["a", blob(2)], ["b-2", blob(3)]],
            1,
            1 << 33,
            [["count", -5, 1 << 40]],
            16,
            f64(1.5),
            [[1 << 33, f64(0.25)]],
            "weighted",
            1000,
            None,
            "complete",
            None,
            "chacha20",
            18,
            ["discrete-gaussian", f64(1.1), "zero-out", f64(1e-5)],
            blob(4),
            blob(5),
            [1, 2, 3, 4, 5, 6, 7],
        ],
    ),
    msg.AdvertiseKeys: (keys(1), [blob(1), blob(2), blob(3), None]),
    msg.KeyList: (
        msg.KeyList(
            entries=(msg.SignedKeys(peer=A, keys=keys(1), signature=blob(9, 64)),)
        ),
        [[["a", blob(1), blob(2), blob(3), None, blob(9, 64)]]],
    ),
    msg.Coin: (msg.Coin(coin=blob(4)), [blob(4)]),
    msg.CoinList: (
        msg.CoinList(coins=(blob(4), blob(5))),
        [[blob(4), blob(5)]],
    ),
    msg.ShareKeys: (
        msg.ShareKeys(
            entries=(
                msg.DealtEntry(sealed=None, com_b=blob(1), com_s=blob(2)),
                msg.DealtEntry(sealed=b"sealed", com_b=blob(3), com_s=blob(4)),
            )
        ),
        [[[None, blob(1), blob(2)], [b"sealed", blob(3), blob(4)]]],
    ),
    msg.DealtShares: (
        msg.DealtShares(
            entries=(
                msg.DealtShare(dealer=A, sealed=b"x", com_b=blob(1), com_s=blob(2)),
            )
        ),
        [[["a", b"x", blob(1), blob(2)]]],
    ),
    msg.ShareAck: (msg.ShareAck(bitmap=b"\x05"), [b"\x05"]),
    msg.DealerList: (msg.DealerList(dealers=(A, B)), [["a", "b-2"]]),
    msg.MaskedInput: (msg.MaskedInput(root=blob(6)), [blob(6)]),
    msg.InputList: (
        msg.InputList(
            entries=(msg.SignedRoot(peer=A, root=blob(6), signature=blob(7, 64)),)
        ),
        [[["a", blob(6), blob(7, 64)]]],
    ),
    msg.Consistency: (msg.Consistency(h3=blob(8)), [blob(8)]),
    msg.Certificate: (
        msg.Certificate(votes=(msg.SignedVote(peer=B, signature=blob(7, 64)),)),
        [[["b-2", blob(7, 64)]]],
    ),
    msg.Unmasking: (
        msg.Unmasking(shares=(blob(1), None, blob(2))),
        [[blob(1), None, blob(2)]],
    ),
    msg.Result: (
        msg.Result(
            status="released",
            u3=(A, B),
            verdicts=(msg.CheckVerdict(check="bounds", passed=True, detail="fine"),),
            dp=msg.NoiseRecord(
                mechanism="discrete-gaussian",
                noise_multiplier=1.1,
                sigma_squared=10**30,
                sensitivity_squared=0,
            ),
            extras=(("count", -3), ("weight", 1 << 63)),
            vector=msg.BlobRef(hash=blob(1), size=80, width=8),
            next_model_hash=blob(2),
            epsilon=0.5,
        ),
        [
            "released",
            ["a", "b-2"],
            [["bounds", 1, "fine"]],
            ["discrete-gaussian", f64(1.1), "1" + "0" * 30, "0"],
            [["count", -3], ["weight", 1 << 63]],
            blob(1),
            80,
            8,
            blob(2),
            f64(0.5),
        ],
    ),
    msg.Abort: (
        msg.Abort(rule="4.5-5", detail="|U3| = 2", missing=(A,)),
        ["4.5-5", "|U3| = 2", ["a"]],
    ),
    msg.Refusal: (msg.Refusal(rule="4.2-3", detail=""), ["4.2-3", ""]),
    msg.Challenge: (
        msg.Challenge(
            nonce=blob(1), roster_version=4, roster_hash=blob(2), time_ms=1 << 41
        ),
        [blob(1), 4, blob(2), 1 << 41],
    ),
    msg.Hello: (
        msg.Hello(
            nonce=blob(1),
            roster_version=4,
            roster_hash=blob(2),
            version="secagg 0.1",
            time_ms=5,
            session=SessionId(blob(3)),
            transcript=None,
        ),
        [blob(1), 4, blob(2), "secagg 0.1", 5, blob(3), None],
    ),
    msg.Welcome: (msg.Welcome(nonce=blob(1), next_chunk=3), [blob(1), 3]),
    msg.Rosters: (
        msg.Rosters(versions=(msg.RosterVersion(body=b"body", signature=blob(1, 64)),)),
        [[[b"body", blob(1, 64)]]],
    ),
    msg.RoundOpen: (
        msg.RoundOpen(
            task_id="t",
            round_no=1,
            model_hash=blob(1),
            model_size=9,
            previous_link=blob(2),
        ),
        ["t", 1, blob(1), 9, blob(2)],
    ),
    msg.Ready: (
        msg.Ready(task_id="t", round_no=1, model_hash=blob(1), ready_nonce=blob(2)),
        ["t", 1, blob(1), blob(2)],
    ),
    msg.Declined: (
        msg.Declined(task_id="t", round_no=1, rule="4.1-5", detail="not ours"),
        ["t", 1, "4.1-5", "not ours"],
    ),
    msg.Missed: (
        msg.Missed(task_id="t", round_no=1, reason="too late"),
        ["t", 1, "too late"],
    ),
    msg.Fetch: (msg.Fetch(hash=blob(1), offset=0), [blob(1), 0]),
    msg.Catchup: (msg.Catchup(task_id="t", head=blob(1)), ["t", blob(1)]),
    msg.History: (
        msg.History(
            rounds=(
                msg.PastRound(manifest=b"m", h3=blob(1), certificate=b"c", result=b"r"),
            )
        ),
        [[[b"m", blob(1), b"c", b"r"]]],
    ),
}
