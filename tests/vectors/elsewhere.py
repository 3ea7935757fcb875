"""What the files hold beside sessions, put to secagg: each raises as it refuses."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any
from unittest import mock

from secagg import codec, errors, events, signing, vector
from secagg import messages as msg
from secagg.crypto import agree, canonical, sign, transcript
from secagg.crypto.aead import open_sealed
from secagg.drivers.aggregator.storing import Storing
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import admission, handshake, lobby
from secagg.drivers.wire.connection import Connection
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import Extra, Manifest
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.released import ReleasedVector
from secagg.roster import Roster
from secagg.rounds import result
from secagg.signing import seal
from secagg.transitions import ServerPhase
from secagg.vector import ChunkFrame, Chunks
from tests.memory_spool import MemorySpool
from tests.samples import sound_manifest
from tests.vectors.files import chain_of, roster_of, unhex

File = dict[str, Any]
STRANGER = Identity.generate(PeerId("stranger"), SeededEntropy(b"stranger"))


def real(text: str) -> float:
    """A real from its 8 bytes."""
    return canonical.from_real(unhex(text))


# --- the roster and the number layer


def open_roster(file: File) -> None:
    roster_of(file["roster"])


def parameters(given: File) -> Parameters:
    """The parameters of the Manifest's fields that a case gives."""
    return Parameters.of(manifest_of(given))


def manifest_of(given: File) -> Manifest:
    extras = tuple(Extra(name=n, low=lo, high=hi) for n, lo, hi in given["extras"])
    return sound_manifest(
        given["n"],
        given["c"],
        length=given["m"],
        extras=extras,
        bits=given["bits"],
        clip=real(given["clip"]),
        ranges=tuple((count, real(r)) for count, r in given["ranges"]),
        rotation=unhex(given["rotation"]) if given["rotation"] else None,
        weighting=given["weighting"],
        max_weight=given["w_max"],
    )


# --- keys and bytes


def x25519_case(case: File) -> None:
    """A public key, or the agreement itself."""
    key = unhex(case["key"])
    if case["check"] == "public_key":
        agree.check_public_key(key)
    else:
        agree.shared_secret(agree.KeyPair(unhex(case["sk"])), key)


def ed25519_case(case: File) -> None:
    """A verifier may say of it that it is not valid; secagg refuses the key."""
    public, message = unhex(case["public"]), unhex(case["message"])
    sign.check_public_key(public)
    valid = sign.verify(public, unhex(case["signature"]), message)
    errors.require("3.1-1", valid, "the signature is not valid")


def encoding_case(case: File) -> None:
    if "real" in case:
        canonical.from_real(unhex(case["real"]))
    else:
        data = unhex(case["data"])
        canonical.unpack(data, len(data))


def sealed_case(file: File, case: File) -> None:
    open_sealed(unhex(file["key"]), unhex(case["sealed"]), unhex(case["ad"]))


# --- the chain and the released vector


def walk_history(file: File) -> bytes:
    """The head that a History leads to."""
    rosters = chain_of(file)
    body = unhex(file["history"])
    history = codec.decode_body("History", body, members=rosters.largest)
    assert isinstance(history, msg.History)
    head = unhex(file["head"])
    for past in history.rounds:
        head = result.next_link(
            past,
            head=head,
            task_id=file["task_id"],
            aggregator=PeerId(file["aggregator"]),
            rosters=rosters,
        )
    return head


def released_vector(file: File) -> None:
    """The bytes beside the Result's size, width and hash."""
    data = unhex(file["data"])
    length = file["size"] // file["width"]
    ReleasedVector.of(data, width=file["width"], length=length)
    same = hashlib.sha256(data).digest() == unhex(file["hash"])
    errors.require("4.8-2", same, "another hash")


# --- uploads


def upload(file: File) -> tuple[list[int | None], bytes | None]:
    """Feed the frames; return what was stored of each, and the root."""
    return asyncio.run(_upload(file))


async def _upload(file: File) -> tuple[list[int | None], bytes | None]:
    sid, peer = SessionId(unhex(file["sid"])), PeerId(file["peer"])
    chunks = Chunks(length=file["M"], width=file["w"], chunk_log2=file["chunk_log2"])
    spool = MemorySpool(sid, chunks)
    server: Any = SimpleNamespace(
        sid=sid, phase=ServerPhase.MASKED_INPUT, sets={"u2": tuple(file["u2"])}
    )
    told: list[events.ServerEvent] = []
    storing = Storing(
        server, spool, sink=told.append, fail=refuse, observer=lambda event: None
    )
    stored: list[int | None] = []
    for text in file["frames"]:
        frame = vector.parse_frame(unhex(text))
        if not isinstance(frame, ChunkFrame):
            stored.append(None)
            continue
        # Reception looks the session up by the frame's sid and finds none.
        errors.require("7.1-2", frame.sid == sid, "a chunk of another session")
        before = spool.next_index(peer)
        await storing.store(peer, frame)
        stored.append(frame.index if spool.next_index(peer) > before else None)
    roots = [e.root for e in told if isinstance(e, events.VectorStored)]
    return stored, roots[-1] if roots else None


def refuse(error: errors.SecaggError) -> None:
    raise error


# --- section 8


class OneFrame:
    """A transport that brings given frames and then nothing."""

    def __init__(self, *frames: bytes) -> None:
        self._frames = [*frames]

    async def recv(self) -> bytes:
        if not self._frames:
            raise AnsweredError
        return self._frames.pop(0)

    async def send(self, data: bytes) -> None:
        del data

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def allow(self, max_frame: int) -> None:
        del max_frame

    async def close(self, reason: str = "") -> None:
        del reason


class AnsweredError(Exception):
    """The message was taken: the handshake waits for the next one."""


def lobby_message(file: File) -> None:
    """One message of section 8, taken by its receiver."""
    asyncio.run(_lobby_message(file))


def identity_of(peer: str) -> Identity:
    """A party's identity, as every file has it."""
    return Identity(
        PeerId(peer), hashlib.sha256(f"identity of {peer}".encode()).digest()
    )


class Door:
    """A door that draws the file's nonce."""

    def __init__(self, file: File) -> None:
        self.identity = identity_of(file["me"])
        self.book = RosterBook(chain_of(file))
        self.clock = SimpleNamespace(now_ms=lambda: file["now_ms"])
        self._nonce = unhex(file["nonce"])

    @property
    def roster(self) -> Roster:
        return self.book.newest

    def nonce(self) -> bytes:
        return self._nonce


def pinned_by(file: File) -> str:
    """The hash of what is pinned once the message was taken."""
    return asyncio.run(_lobby_message(file)).hex()


async def _lobby_message(file: File) -> bytes:
    door: Any = Door(file)
    data = unhex(file["envelope"])
    envelope = codec.decode_envelope(data, members=door.book.largest)
    frame, peer = vector.envelope_frame(data), PeerId(file["peer"])
    match envelope.type:
        case "Challenge":
            await _until_answered(lobby._enter(OneFrame(frame), door, peer, ANYWHERE))
        case "Hello":
            await _until_answered(admission._admit(OneFrame(frame), door, nowhere))
        case "Welcome" | "Rosters":
            await _after_challenge(file, frame, door)
        case _:
            hc, line = connection_of(file), OneFrame()
            connection = Connection(line, peer=peer, hc=hc, roster=door.roster)
            lobby.lobby_open(envelope, door=door, connection=connection)
    pinned: bytes = door.roster.hash
    return pinned


ANYWHERE = lobby.Standing()


def nowhere(peer: PeerId, sid: SessionId | None) -> int | None:
    del peer, sid
    return None


async def _until_answered(work: Any) -> None:
    try:
        await work
    except AnsweredError:
        return


async def _after_challenge(file: File, frame: bytes, door: Any) -> None:
    """Take what follows a Challenge. The file has none: its proof is taken as read."""
    challenge = msg.Challenge(
        nonce=unhex(file["other_nonce"]),
        roster_version=door.roster.version + file["behind"],
        roster_hash=door.roster.hash,
        time_ms=file["now_ms"],
    )
    peer = PeerId(file["peer"])
    sealed = seal(
        challenge,
        identity=Identity(peer, bytes(32)),
        receiver=PeerId(""),
        sid=msg.LOBBY_SID,
        h=handshake.ZERO,
    )
    first = vector.envelope_frame(codec.encode_envelope(sealed))

    def but_for_the_challenge(
        envelope: msg.Envelope, *, public: bytes, h: bytes
    ) -> bool:
        genuine = signing.verifies(envelope, public=public, h=h)
        return envelope.type == "Challenge" or genuine

    with mock.patch.object(handshake, "verifies", but_for_the_challenge):
        await lobby._enter(OneFrame(first, frame), door, peer, ANYWHERE)


def connection_of(file: File) -> bytes:
    """hc of the connection between `me` and `peer`."""
    mine, theirs = unhex(file["nonce"]), unhex(file["other_nonce"])
    at_server = file["me"] in roster_of(file["roster"]).aggregators
    pair = (mine, theirs) if at_server else (theirs, mine)
    return transcript.connection(*pair)
