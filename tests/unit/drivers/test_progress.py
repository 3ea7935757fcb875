import asyncio
import dataclasses
import typing
from typing import Any

import pytest

from secagg.drivers import progress
from secagg.names import PeerId


@pytest.mark.parametrize("kind", typing.get_args(progress.Progress))
def test_every_kind_of_progress_is_frozen_and_keyword_only(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind))


def test_progress_that_nobody_observes_is_dropped() -> None:
    progress.unobserved(progress.Connected(peer=PeerId("a")))


async def test_what_an_observer_raises_goes_to_the_loops_handler() -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: seen.append(context)
    )
    error = OSError(28, "No space left on device")

    def full(event: progress.Progress) -> None:
        raise error

    progress.guarded(full)(progress.Connected(peer=PeerId("a")))
    assert [one["exception"] for one in seen] == [error]


async def test_a_guarded_observer_is_told_everything() -> None:
    seen: list[progress.Progress] = []
    event = progress.Connected(peer=PeerId("a"))
    progress.guarded(seen.append)(event)
    assert seen == [event]
