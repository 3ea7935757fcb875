"""The judge condemns: each verdict on a good run's testimony, bent in one place."""

import dataclasses

import pytest

from secagg import codec, events, messages
from secagg.crypto.transcript import LINK_START
from secagg.drivers import progress
from secagg.drivers.silo.store import SqliteStore
from tests.chaos.bending import (
    NONE,
    another_body,
    bent,
    first,
    heard,
    named,
    of_type,
    sent,
    someone,
)
from tests.chaos.judge import TOO_FEW
from tests.chaos.testimony import VECTOR


def condemned(judge, verdict):
    with pytest.raises(AssertionError, match=verdict):
        judge.check()


def test_a_good_run_passes(judge) -> None:
    judge.check()


# --- what is bent: the aggregator's account


def off_by_one(judge):
    first(judge)[1]["sum"][0] += 1


def another_mean(judge):
    first(judge)[1]["mean"] = bytes(32)


def another_link(judge):
    first(judge)[1]["link"] = bytes(32)


def no_end(judge):
    judge.aggregator.began[NONE] = 2


def two_ends(judge):
    judge.aggregator.aborted[first(judge)[0]].add(aborted("4.6-4"))


def forgotten(judge):
    del judge.aggregator.outcomes[first(judge)[0]]


def two_lives_with_two_outcomes(judge):
    sid, outcome = first(judge)
    judge.aggregator.outcomes[sid].append({**outcome, "link": bytes(32)})


def two_results_in_one_round(judge):
    again = {**first(judge)[1], "sid": NONE}
    judge.aggregator.outcomes[NONE].append(again)


def aborted(code, *missing):
    return progress.SessionAborted(
        sid=NONE, code=code, detail="", retry=False, missing=missing
    )


def aborted_by_a_breach(judge):
    judge.aggregator.aborted[NONE].add(aborted("10-1"))


def aborted_in_two_ways(judge):
    judge.aggregator.aborted[NONE] |= {aborted("4.6-4"), aborted("4.7-3")}


def answer(judge, type_, count):
    for peer in judge.terms.peers[:count]:
        for kind in {type_, VECTOR}:
            judge.aggregator.accepted[NONE, peer, kind].add(b"")


def aborted_with_the_missing_there(judge):
    answer(judge, "Consistency", 2)
    judge.aggregator.aborted[NONE].add(aborted("4.6-4", judge.terms.peers[1]))


def dropped(judge):
    peer = judge.terms.peers[0]
    judge.aggregator.dropped.append(
        progress.PeerDropped(sid=NONE, peer=peer, rule="3.4-5", detail="")
    )


def of_the_first(judge, type_):
    """The place of somebody's message in the journal of the oldest session."""
    sid, outcome = first(judge)
    return sid, outcome["u3"][0], type_


def accepted_twice(judge):
    judge.aggregator.accepted[of_the_first(judge, "Consistency")].add(b"another")


def accepted_and_never_sent(judge):
    judge.aggregator.accepted[of_the_first(judge, "Consistency")] = {b"another"}


def lost_keys(judge):
    del judge.aggregator.accepted[of_the_first(judge, "AdvertiseKeys")]


def lost_shares(judge):
    del judge.aggregator.accepted[of_the_first(judge, "ShareKeys")]


def lost_input(judge):
    del judge.aggregator.accepted[of_the_first(judge, "MaskedInput")]


def lost_chunks(judge):
    del judge.aggregator.accepted[of_the_first(judge, VECTOR)]


ACCOUNTS = [
    (off_by_one, "another sum"),
    (another_mean, "not the mean of its sum"),
    (another_link, "a link of no chain"),
    (no_end, "without an end"),
    (two_ends, "both completed and aborted"),
    (forgotten, "without an end"),
    (two_lives_with_two_outcomes, "two outcomes"),
    (two_results_in_one_round, "two Results in one round"),
    (aborted_by_a_breach, "aborted by rule 10-1"),
    (aborted_in_two_ways, "aborted in two ways"),
    (aborted_with_the_missing_there, "none was missing"),
    (dropped, "an honest member was dropped"),
    (accepted_twice, "two Consistency"),
    (accepted_and_never_sent, "never sent Consistency"),
    (lost_keys, "another KeyList than accepted"),
    (lost_shares, "another DealerList than accepted"),
    (lost_input, "another InputList than accepted"),
    (lost_chunks, "another InputList than accepted"),
]


@pytest.mark.parametrize(("bend", "verdict"), named(ACCOUNTS))
def test_the_aggregators_account_bent(judge, bend, verdict) -> None:
    bend(judge)
    condemned(judge, verdict)


@pytest.mark.parametrize(("code", "type_"), TOO_FEW.items())
def test_an_abort_is_clean_if_fewer_than_a_quorum_answered(judge, code, type_) -> None:
    judge.aggregator.aborted[NONE].add(aborted(code))
    answer(judge, type_, 3)
    judge._check_aborts()
    answer(judge, type_, 4)
    with pytest.raises(AssertionError, match="enough had answered"):
        judge._check_aborts()


def test_a_sum_is_over_those_whose_input_was_accepted(judge) -> None:
    _, outcome = first(judge)
    outcome["u3"] = outcome["u3"][1:]
    with pytest.raises(AssertionError, match="a sum of others"):
        judge.story.check()


# --- what is bent: a hospital's account


def mean_of(judge, **changes):
    """Give a hospital another account of the mean it was given."""
    hospital = someone(judge)
    names = ("sid", "included", "u3", "digest")
    told = dict(zip(names, hospital.means[0], strict=True))
    hospital.means[0] = tuple({**told, **changes}.values())


def a_mean_of_no_sum(judge):
    mean_of(judge, sid=NONE)


def a_mean_of_others(judge):
    mean_of(judge, u3=judge.terms.peers[:4] + judge.terms.peers[:1])


def a_mean_of_its_own(judge):
    mean_of(judge, digest=bytes(32))


def not_included(judge):
    mean_of(judge, included=not someone(judge).means[0][1])


def secrets_unknown(judge):
    someone(judge).drawn["b_u"].clear()


def another_list(judge):
    heard(judge, "InputList", another_body)


def another_certificate(judge):
    heard(judge, "Certificate", another_body)


def other_shares(judge):
    hospital = someone(judge)
    dealt = [e for e, _ in hospital.log if of_type(e, "DealtShares")]
    hospital.log.append((another_body(dealt[0]), []))


def a_list_of_no_session(judge):
    del judge.aggregator.began[first(judge)[0]]


def refused(judge):
    said = messages.Refusal(rule="4.5-3", detail="not so")

    def refuse(effect):
        refusal = dataclasses.replace(
            effect.envelope, type="Refusal", body=codec.encode_body(said)
        )
        return [effect, dataclasses.replace(effect, envelope=refusal)]

    sent(judge, "Unmasking", refuse)


def a_link_of_a_fork(judge):
    bent(judge, events.PersistHead, lambda e: [dataclasses.replace(e, head=bytes(31))])


def a_chain_that_goes_back(judge):
    bent(
        judge,
        events.PersistHead,
        lambda e: [e, dataclasses.replace(e, head=LINK_START)],
    )


HOSPITALS = [
    (a_mean_of_no_sum, "a mean of none"),
    (a_mean_of_others, "another U3"),
    (a_mean_of_its_own, "another mean"),
    (not_included, "not so included"),
    (secrets_unknown, "b_u unknown"),
    (another_list, "2 of InputList"),
    (another_certificate, "2 of Certificate"),
    (other_shares, "2 of DealtShares"),
    (a_list_of_no_session, "of no session"),
    (refused, "refused"),
    (a_link_of_a_fork, "a link of another chain"),
    (a_chain_that_goes_back, "its chain went back"),
]


@pytest.mark.parametrize(("bend", "verdict"), named(HOSPITALS))
def test_a_hospitals_account_bent(judge, bend, verdict) -> None:
    bend(judge)
    condemned(judge, verdict)


# --- what is bent: the state that a hospital is left with


def test_a_head_that_went_back_is_told(judge, monkeypatch) -> None:
    monkeypatch.setattr(SqliteStore, "head", lambda *_: LINK_START)
    condemned(judge, "its chain went back")


def test_a_lost_receipt_is_told(judge, monkeypatch) -> None:
    monkeypatch.setattr(SqliteStore, "receipts", lambda *_: ())
    condemned(judge, "a lost receipt")


def test_a_receipt_of_another_set_is_told(judge, monkeypatch) -> None:
    really = SqliteStore.receipts

    def other(self, task_id):
        return [dataclasses.replace(r, u3=r.u3[:1]) for r in really(self, task_id)]

    monkeypatch.setattr(SqliteStore, "receipts", other)
    condemned(judge, "a receipt of another U3")
