"""The way out of the device: one module, two buffers, and the order of its copies."""

import ast
from pathlib import Path

import pytest
import torch

from secagg import device
from secagg.device.leaving import Outbox, PackedChunks, number

FOLDER = Path(str(device.__file__)).parent
OUT = {"item", "cpu", "numpy", "tolist", "to_dense", "tobytes", "data_ptr", "__array__"}


def test_a_number_of_one_element() -> None:
    assert number(torch.tensor([2.5])) == 2.5


def attributes(path):
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.name)
def test_nothing_else_reads_a_tensor_of_the_device(path) -> None:
    reads = attributes(path) & OUT
    assert reads == ({"item", "numpy", "tobytes"} if path.stem == "leaving" else set())


def test_what_was_put_is_taken_from_its_own_slot() -> None:
    outbox = Outbox(torch.device("cpu"), 4)
    outbox.put(0, PackedChunks(torch.tensor([1, 2, 3, 4], dtype=torch.uint8)))
    outbox.put(1, PackedChunks(torch.tensor([5, 6, 7], dtype=torch.uint8)))
    assert outbox.take(0, 0, 4) == bytes([1, 2, 3, 4])
    assert outbox.take(1, 1, 3) == bytes([6, 7])


class Recorded:
    """Stands in for torch.cuda: says what was asked of it, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.streams = 0

    def Stream(self, *_):  # noqa: N802 as torch names it
        return RecordedStream(self, "copying")

    def Event(self):  # noqa: N802 as torch names it
        return RecordedEvent(self)

    def current_stream(self, _):
        return RecordedStream(self, "making")

    def stream(self, stream):
        return stream


class RecordedStream:
    def __init__(self, recorded, name) -> None:
        self.recorded, self.name = recorded, name

    def wait_stream(self, other) -> None:
        self.recorded.said.append(f"{self.name} waits for {other.name}")

    def __enter__(self) -> None:
        self.recorded.said.append(f"on {self.name}")

    def __exit__(self, *_) -> None:
        self.recorded.said.append(f"off {self.name}")


class RecordedEvent:
    def __init__(self, recorded) -> None:
        self.recorded = recorded

    def record(self) -> None:
        self.recorded.said.append("event")

    def synchronize(self) -> None:
        self.recorded.said.append("host waits")


def test_a_copy_waits_for_its_chunk_and_the_host_for_the_copy(monkeypatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr(torch, "get_device_module", lambda _: recorded)
    outbox = Outbox(torch.device("cpu"), 4)
    outbox.put(0, PackedChunks(torch.zeros(4, dtype=torch.uint8)))
    assert recorded.said == [
        "copying waits for making",
        "on copying",
        "event",
        "off copying",
    ]
    outbox.take(0, 0, 4)
    assert recorded.said[4:] == ["host waits"]
