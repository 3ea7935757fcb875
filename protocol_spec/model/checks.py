"""What a client checks of each list and of the Result, by rule (spec 4.1 to 4.8)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from protocol_spec.model import x25519
from protocol_spec.model.envelope import quoted
from protocol_spec.model.keys import KeyBook, coin_commitment
from protocol_spec.model.messages import ADVERT, Body
from protocol_spec.model.near import Graph, among
from protocol_spec.model.parameters import Parameters
from protocol_spec.model.refusal import require
from protocol_spec.model.roster import Roster


@dataclass
class Standing:
    """What a client keeps durably of a task, and its own policy (spec 9-2).

    Attributes:
        joined: the last (round_no, attempt) it joined.
        head: the head of the task's chain.
        spent: the last round its update was spent in (rule 4.1-8); 0 for none.
        min_members: the least n of its policy; 0 accepts any.
        min_difference: of its policy, rule 4.5-8; 0 accepts any.
        sums: of each sum of any task that may have been opened: U3, model_hash, and
            whether weights or extras were summed.
    """

    joined: tuple[int, int] = (0, 0)
    head: bytes = bytes(32)
    spent: int = 0
    min_members: int = 0
    min_difference: int = 0
    sums: list[tuple[list[str], bytes, bool]] = field(default_factory=list)


def check_manifest(
    body: Body, me: str, ready: Body, roster: Roster, standing: Standing
) -> None:
    """Rules 4.1-1 to 4.1-8."""
    check_members(body, roster)
    mine = [me, ready["ready_nonce"]] in body["members"]
    require("4.1-3", mine, "not a member with this process's nonce")
    parts = ("task_id", "round_no", "model_hash")
    same = all(body[part] == ready[part] for part in parts)
    require("4.1-4", same, "not what it said Ready for")
    n = len(body["members"])
    require("4.1-5", n >= standing.min_members, "outside the policy")
    pair = (body["round_no"], body["attempt"])
    fresh = pair > standing.joined and 1 <= body["attempt"] <= 3
    require("4.1-6", fresh, f"{pair} after {standing.joined}")
    require("4.1-7", body["previous_link"] == standing.head, "another head")
    require("4.1-8", body["round_no"] != standing.spent, "the update is spent")


def check_members(body: Body, roster: Roster) -> None:
    """Rules 4.1-1 and 4.1-2."""
    ids = [member[0] for member in body["members"]]
    hospitals = set(roster.ids("hospital"))
    listed = ids == sorted(set(ids)) and set(ids) <= hospitals
    served = body["aggregator"] in roster.ids("aggregator")
    require("4.1-1", listed and served, "members or aggregator are not the roster's")
    require("4.1-2", body["roster_hash"] == roster.hash, "another roster")


def check_advert(body: Body, *, tossed: bool) -> None:
    """Rules 3.2-1 to 3.2-3 on both keys; 4.2-5: `tossed` on the regular graph."""
    x25519.check_public_key(body["c_pk"])
    x25519.check_public_key(body["s_pk"])
    committed = body["coin_commitment"] is not None
    require("4.2-5", committed == tossed, "a C_u that the graph does not ask for")


def check_ids(rule: str, ids: list[str], within: list[str]) -> None:
    """Sorted and distinct, and within a set."""
    ordered = ids == sorted(set(ids)) and set(ids) <= set(within)
    require(rule, ordered, "ids are not sorted, distinct and within their set")


@dataclass
class Quoting:
    """What the members' quoted signatures are checked against."""

    roster: Roster
    aggregator: str
    sid: bytes
    h: bytes

    def genuine(self, who: str, signature: bytes, kind: str, body: Body) -> bool:
        """Whether `who` signed this message to the aggregator."""
        key = self.roster.keys[who]
        return quoted(
            key, signature, kind, self.sid, who, self.aggregator, self.h, body
        )


def check_key_list(
    body: Body,
    me: str,
    own: Body,
    members: list[str],
    params: Parameters,
    quoting: Quoting,
) -> None:
    """Rules 4.2-1 to 4.2-5 and 3.2-1 to 3.2-5."""
    rows = body["entries"]
    check_ids("4.2-1", [row[0] for row in rows], members)
    keys: list[bytes] = []
    for who, *fields, signature in rows:
        advert = dict(zip(ADVERT, fields, strict=True))
        check_advert(advert, tossed=params.regular)
        genuine = quoting.genuine(who, signature, "AdvertiseKeys", advert)
        require("4.2-2", genuine, f"{who} did not sign these keys")
        keys += fields[:2]
    mine = [row[1:-1] for row in rows if row[0] == me]
    require("4.2-3", mine == [list(own.values())], "its own entry is not what it sent")
    enough = len(rows) >= params.q
    require("4.2-4", enough, f"|U1| = {len(rows)} is below {params.q}")
    require("3.2-5", len(set(keys)) == len(keys), "two keys are the same")


def check_coins(coins: list[bytes], book: KeyBook) -> None:
    """Rules 4.10-1 and 4.10-2."""
    require("4.10-2", len(coins) == len(book.u1), "not one coin for each of U1")
    for u, coin in zip(book.u1, coins, strict=False):
        check_coin(u, coin, book)


def check_coin(u: str, coin: bytes, book: KeyBook) -> None:
    """Rule 4.10-1."""
    opens = book.coin_commitment[u] == coin_commitment(book.sid, u, coin)
    require("4.10-1", opens, f"not the coin that {u} committed to")


def check_input_list(
    body: Body,
    me: str,
    own_root: bytes | None,
    u2: list[str],
    params: Parameters,
    graph: Graph,
    quoting: Quoting,
) -> None:
    """Rules 4.5-2 to 4.5-5 and 4.5-7."""
    rows = body["entries"]
    check_ids("4.5-2", [row[0] for row in rows], u2)
    for who, root, signature in rows:
        genuine = quoting.genuine(who, signature, "MaskedInput", {"root": root})
        require("4.5-3", genuine, f"{who} did not state this root")
        own = who != me or root == own_root
        require("4.5-4", own, "its own entry is not the root it stated")
    enough = len(rows) >= params.floor
    require("4.5-5", enough, f"|U3| = {len(rows)} is below {params.floor}")
    check_degrees([row[0] for row in rows], params.degree.least, graph)


def check_degrees(u3: list[str], least: int, graph: Graph) -> None:
    """Rule 4.5-7."""
    for u in u3:
        left = len(among(graph[u], u3))
        require("4.5-7", left >= least, f"{u} has {left} neighbours in U3, not {least}")


def summed_set(manifest: Body, u3: list[str]) -> tuple[list[str], bytes, bool]:
    """What a client keeps of a sum it votes for (rule 4.5-8)."""
    constants = manifest["weighting"] == "weighted" or bool(manifest["extras"])
    return u3, manifest["model_hash"], constants


def check_apart(manifest: Body, u3: list[str], standing: Standing) -> None:
    """Rule 4.5-8."""
    _, model, constants = summed_set(manifest, u3)
    for past, past_model, past_constants in standing.sums:
        if model == past_model or (constants and past_constants):
            count = len(set(u3) ^ set(past))
            apart = count == 0 or count >= standing.min_difference
            require("4.5-8", apart, f"{count} members from an earlier sum")


def check_certificate(
    body: Body, voters: list[str], latched: bytes, q: int, quoting: Quoting
) -> None:
    """Rules 4.6-2 to 4.6-4."""
    rows = body["votes"]
    check_ids("4.6-2", [row[0] for row in rows], voters)
    for who, signature in rows:
        genuine = quoting.genuine(who, signature, "Consistency", {"h3": latched})
        require("4.6-3", genuine, f"{who} did not vote for this h3")
    require("4.6-4", len(rows) >= q, f"{len(rows)} votes are below {q}")


def check_result(body: Body, u3: list[str], manifest: Body, params: Parameters) -> None:
    """Rules 4.8-1 to 4.8-3 and 4.8-5, without the vector's bytes."""
    require("4.8-1", body["u3"] == u3, "another U3 than the latched one")
    released = body["status"] == "released"
    if released:
        size = params.coordinates * body["vector_width"]
        require("4.8-2", body["vector_size"] == size, "another size than m' widths")
    said = body["dp"] and body["dp"][:2]
    asked = manifest["dp"] and manifest["dp"][:2] if released else None
    require("4.8-3", said == asked, "other noise than the Manifest announced")
    check_sums(body, len(u3), params.extras if released else ())


def check_sums(
    body: Body, count: int, extras: tuple[tuple[str, int, int], ...]
) -> None:
    """Rule 4.8-5."""
    names = [name for name, _ in body["extras"]]
    require("4.8-5", names == [name for name, _, _ in extras], "other extras")
    if body["dp"] is not None:
        return
    for (name, total), (_, low, high) in zip(body["extras"], extras, strict=False):
        least = max(1, low) if name == "weight" else count * low
        within = least <= total <= count * high
        require("4.8-5", within, f"a sum of {name} that no members have")


def check_vector(body: Body, data: bytes) -> None:
    """Rule 4.8-2, on the vector's bytes."""
    whole = len(data) == body["vector_size"]
    same = hashlib.sha256(data).digest() == body["vector_hash"]
    require("4.8-2", whole and same, "not the vector that the Result states")
