"""secagg.messages.table: the headers against the tables of the spec; the envelope."""

import pathlib

import pytest

import protocol_spec
from secagg import messages as msg
from secagg.names import PeerId, SessionId
from tests.samples import SAMPLES, blob

SPEC = pathlib.Path(protocol_spec.__file__).parent / "spec.md"
TRANSCRIPTS = {
    "sid": msg.Transcript.SID,
    "h1": msg.Transcript.H1,
    "h2": msg.Transcript.H2,
    "h3": msg.Transcript.H3,
    "hc": msg.Transcript.CONNECTION,
    "nonce_S": msg.Transcript.NONCE,
    "32 zero bytes": msg.Transcript.ZERO,
}


def table():
    """The rows of the two message tables of the spec: type to its cells."""
    names = {kind.__name__ for kind in SAMPLES}
    rows = {}
    for line in SPEC.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] in names and len(cells) == 5:
            rows[cells[0]] = cells[1:]
    return rows


def limit(text):
    """A cell such as ``16 + 272 n`` as its two numbers."""
    base, _, rest = text.replace(",", "").partition("+")
    per_member = rest.strip().removesuffix("n").strip()
    return int(base), int(per_member or (1 if rest else 0))


@pytest.mark.parametrize("kind", list(SAMPLES), ids=lambda kind: kind.__name__)
def test_the_header_is_that_of_the_specs_table(kind) -> None:
    route, transcript, _, size = table()[kind.__name__]
    header = msg.HEADERS[kind]
    sender, receiver = [side.strip() for side in route.split(",")]
    assert header.from_aggregator == (sender == "S")
    assert header.to_all == (receiver == "all")
    assert header.transcript == TRANSCRIPTS[transcript]
    assert (header.base, header.per_member) == limit(size)


def test_the_specs_tables_have_no_other_type() -> None:
    assert len(table()) == len(SAMPLES) == len(msg.HEADERS)


def test_an_envelope_shows_its_route_and_not_its_body() -> None:
    shown = repr(
        msg.Envelope(
            type="Unmasking",
            sid=SessionId(blob(1)),
            sender=PeerId("u-1"),
            receiver=PeerId(""),
            body=b"secret-shares",
            signature=blob(2, 64),
        )
    )
    assert shown == "Envelope(Unmasking, u-1 -> all, 13 bytes)"


def test_all_are_addressed_by_nothing() -> None:
    assert not msg.EVERYONE
