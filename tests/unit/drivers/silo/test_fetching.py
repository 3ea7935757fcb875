import errno
import hashlib
import io
import os

import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.silo.fetching import Fetching
from secagg.messages import Fetch
from secagg.vector import BlobFrame

BLOB = bytes(range(100))
DIGEST = hashlib.sha256(BLOB).digest()


def fetching(size: int = len(BLOB)):
    events: list[progress.Progress] = []
    into = io.BytesIO()
    return Fetching(DIGEST, size, into, events.append), into, events


def part(start: int, stop: int) -> BlobFrame:
    return BlobFrame(DIGEST, start, BLOB[start:stop])


async def test_parts_in_order_make_the_blob() -> None:
    one, into, events = fetching()
    one.take(part(0, 60))
    one.take(part(60, 100))
    await one.whole()
    assert into.getvalue() == BLOB
    assert [e.received_bytes for e in events if isinstance(e, progress.Fetched)] == [
        60,
        100,
    ]


async def test_after_a_cut_it_is_asked_for_from_where_it_stopped() -> None:
    one, _, _ = fetching()
    asked: list[Fetch] = []
    one.ask(asked.append)
    one.take(part(0, 60))
    one.ask(asked.append)
    assert [fetch.offset for fetch in asked] == [0, 60]


async def test_parts_that_do_not_follow_are_left() -> None:
    one, into, _ = fetching()
    one.take(part(10, 20))
    one.take(BlobFrame(bytes(32), 0, BLOB))
    one.take(part(0, 100))
    await one.whole()
    assert into.getvalue() == BLOB


async def test_more_bytes_than_the_blob_has_are_refused_by_rule_7_1_1() -> None:
    one, _, _ = fetching(size=50)
    with pytest.raises(errors.CodecError) as caught:
        one.take(part(0, 51))
    assert caught.value.rule == "7.1-1"


async def test_other_bytes_are_refused_by_rule_4_8_2() -> None:
    one, _, _ = fetching()
    one.take(BlobFrame(DIGEST, 0, bytes(100)))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        await one.whole()
    assert caught.value.rule == "4.8-2"


async def test_an_empty_blob_needs_no_question() -> None:
    into = io.BytesIO()
    one = Fetching(hashlib.sha256(b"").digest(), 0, into, lambda event: None)
    one.ask(lambda fetch: pytest.fail("asked"))
    await one.whole()
    assert into.getvalue() == b""


async def test_a_disk_that_is_full_ends_it_and_says_so() -> None:
    class Full:
        def write(self, part: bytes | memoryview) -> int:
            del part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = Fetching(DIGEST, len(BLOB), Full(), lambda event: None)
    one.take(part(0, 60))
    one.take(part(60, 100))
    with pytest.raises(errors.StateError, match="No space left"):
        await one.whole()


async def test_what_was_given_up_raises_why() -> None:
    one, _, _ = fetching()
    one.fail(errors.LocalProtocolError("no blob"))
    one.take(part(0, 100))
    with pytest.raises(errors.LocalProtocolError, match="no blob"):
        await one.whole()
