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
