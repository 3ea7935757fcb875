"""The vectors against secagg: sessions byte for byte, refusals by their rule."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from secagg import codec, field, packing, pipeline, quantize, vector
from secagg.contribution import contribution
from secagg.crypto import transcript
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed
from secagg.events import OpenSum
from secagg.mask_removal import MaskRemoval
from secagg.masked_chunks import chunks_of
from secagg.names import VectorSum
from secagg.params import Parameters
from secagg.released import encoded, width_of
from tests.helpers import ReferenceEngine
from tests.vectors.files import ScriptedEntropy, content, derived_of, names, unhex
from tests.vectors.parties import manifest_of, operations, party
from tests.vectors.refusals import everything

SESSIONS = names("session", bad=False)
PARTIES = [(name, who) for name in SESSIONS for who in content(name)["parties"]]
VECTORS = [
    (name, who) for name, who in PARTIES if "vector" in content(name)["parties"][who]
]
# The update of a long vector is left out of its file.
UPDATED = [
    (name, who)
    for name, who in VECTORS
    if "update" in content(name)["parties"][who]["vector"]
]
OPENED = [name for name in SESSIONS if "opened" in content(name)]
# A corrupt member has no entry in a file, and so no vector to add up.
SUMMED = [name for name in OPENED if not content(name).get("corrupt")]
BAD = everything()


# --- sessions


@pytest.mark.parametrize(("name", "who"), PARTIES)
def test_a_party_answers_every_event_as_the_file_says(name, who) -> None:
    machine = party(name, who)
    for number, (kind, given, expected) in enumerate(operations(name, who)):
        assert machine.feed(kind, given) == expected, (number, kind)


@pytest.mark.parametrize("name", names("session", bad=True))
def test_a_party_of_a_bad_file_answers_all_events_as_the_file_says(name) -> None:
    who = content(name)["refuse"]["party"]
    machine = party(name, who)
    for number, (kind, given, expected) in enumerate(operations(name, who)):
        assert machine.feed(kind, given) == expected, (number, kind)


def params_of(name):
    return Parameters.of(manifest_of(name))


@pytest.mark.parametrize("name", SESSIONS)
def test_the_derived_parameters_are_those_of_the_file(name) -> None:
    assert derived_of(params_of(name)) == content(name)["derived"]


def sid_of(name):
    return transcript.session_id(codec.encode_body(manifest_of(name)))


def masked(name, who):
    """The last mask_vector of a party: seeds and signs."""
    effects = [effects for _, _, effects in operations(name, who)]
    return seeds_of([e["mask_vector"] for e in effects if "mask_vector" in e][-1])


def seeds_of(rows):
    seeds = [MaskSeed(unhex(key), Tag(tag)) for key, tag, _ in rows]
    return seeds, [sign for _, _, sign in rows]


@pytest.mark.parametrize(("name", "who"), UPDATED)
def test_x_u_is_made_of_the_update_as_the_file_says(name, who) -> None:
    given = content(name)["parties"][who]
    held, params = given["vector"], params_of(name)
    size = 8 * params.m
    data = unhex(held["update"])
    assert len(data) == size
    x_u = contribution(
        np.frombuffer(data, dtype="<f8"),
        weight=held["weight"],
        values=held["extras"],
        params=params,
        sid=sid_of(name),
        entropy=ScriptedEntropy({"round": given["entropy"]["round"][-1:]}),
    )
    window = x_u.window(0, params.total_length)
    assert field.centre(window, params.p).tolist() == held["x_u"]
    assert x_u.coordinates.saturated() == held["saturated"]


@pytest.mark.parametrize(("name", "who"), VECTORS)
def test_y_u_and_its_root_are_those_of_the_file(name, who) -> None:
    held, params = content(name)["parties"][who]["vector"], params_of(name)
    x_u = np.array(held["x_u"], dtype=np.int64)
    seeds, signs = masked(name, who)
    chunks, root = chunks_of(params), vector.RootBuilder(sid_of(name))
    assert len(held["y_u"]) == chunks.count
    for index, text in enumerate(held["y_u"]):
        start, stop = chunks.span(index)
        y_u = field.to_field(x_u[start:stop], params.p)
        ReferenceEngine(params.width).accumulate(y_u, seeds, signs, start, stop)
        assert packing.pack(y_u, params.width) == unhex(text)
        root.add(index, unhex(text))
    stated = [g["root"] for k, g, _ in operations(name, who) if k == "vector_masked"]
    assert root.root() == unhex(stated[-1])


@pytest.mark.parametrize("name", SUMMED)
def test_the_opened_sum_is_that_of_the_file_and_of_the_plain_integers(name) -> None:
    file, params = content(name), params_of(name)
    opening = opening_of(name)
    u3, (seeds, signs) = opening["u3"], seeds_of(opening["seeds"])
    stored = [file["parties"][u]["vector"]["y_u"] for u in u3]
    chunks = MaskRemoval(engine=ReferenceEngine(params.width)).opened_chunks(
        OpenSum(u3=tuple(u3), seeds=tuple(seeds), signs=tuple(signs)),
        lambda index: (unhex(y_u[index]) for y_u in stored),
        params,
    )
    opened = np.concatenate([*chunks]).tolist()
    assert opened == file["opened"]["sum"]
    columns = zip(*(file["parties"][u]["vector"]["x_u"] for u in u3), strict=True)
    assert opened == [sum(column) for column in columns]


def opening_of(name):
    """The open_sum of a session."""
    server = operations(name, content(name)["aggregator"])
    return next(
        effects["open_sum"] for _, _, effects in server if "open_sum" in effects
    )


@pytest.mark.parametrize("name", OPENED)
def test_the_released_vector_extras_and_mean_are_those_of_the_file(name) -> None:
    params, opened = params_of(name), content(name)["opened"]
    total = VectorSum(np.array(opened["sum"], dtype=np.int64))
    u3 = opening_of(name)["u3"]
    view = pipeline.opened_sum(total, params, u3_count=len(u3))
    noise = opened.get("noise", [0] * (params.coordinates + len(params.extras)))
    noised = replace(
        view,
        vector=VectorSum(view.vector + np.array(noise[: params.coordinates])),
        extras=tuple(
            replace(one, total=one.total + more)
            for one, more in zip(view.extras, noise[params.coordinates :], strict=True)
        ),
    )
    sums = [[one.extra.name, one.total] for one in noised.extras]
    assert sums == opened["extras"]
    width = width_of(noised.vector)
    assert b"".join(encoded(noised.vector, width)) == unhex(opened["vector"])
    if "mean" in opened:
        by_name = {one.extra.name: one.total for one in noised.extras}
        divisor = pipeline.divisor(params, u3_count=noised.u3_count, extras=by_name)
        mean = quantize.dequantize(noised.vector, params.scale, divisor)
        assert mean.tolist() == pytest.approx(opened["mean"], rel=1e-12)


def test_there_are_sessions_of_4_6_and_10_with_losses_at_every_round() -> None:
    rounds = ["advertise_keys", "share_keys", "share_ack", "masked_input"]
    rounds += ["consistency", "unmasking"]
    sizes = ["n4_c1", "n6_c1", "n10_c1"]
    lost = [f"session_{n}_{r}" for n, r in itertools.product(sizes, rounds)]
    assert set(SESSIONS) >= {*(f"session_{n}" for n in sizes), *lost}


# --- refusals


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_what_must_be_refused_is_refused_by_the_rule_it_names(bad) -> None:
    assert bad.attempt() == bad.rule
