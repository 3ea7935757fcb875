"""What the kernels become on a Hopper GPU, compiled here, where there need not be one.

They are launched as the library launches them, up to the launch itself. Run this as a
program, in a process of its own without TRITON_INTERPRET: it prints JSON, by kernel and
width. Triton brings the compiler and the disassembler along.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget

from secagg.crypto.prg import Tag
from secagg.device import kernels
from secagg.device.update import DeviceUpdate
from secagg.engine import MaskSeed, triton_kernels
from secagg.engine.triton import Triton, run
from secagg.scale import Scale

HOPPER = GPUTarget("cuda", 90, 32)
HERE = torch.device("cpu")
_TOOL = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
_LINE = re.compile(r"^\s+/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+ )?([A-Z0-9.]+)([^;]*);", re.M)


@dataclass(frozen=True)
class Compiled:
    """What was made of a kernel.

    Attributes:
        registers: of a thread.
        stack: bytes of a thread that spilled, or could not be held in registers.
        loops: opcodes of each innermost loop, the shortest loop first.
        opcodes: all of them, in order.
        ptx: the compiler's intermediate form.
    """

    registers: int
    stack: int
    loops: list[list[str]]
    opcodes: list[str]
    ptx: str


class _Driver:
    """Stands in for a GPU's driver: says what to compile for, and runs nothing."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, _):
        return 0

    def get_current_target(self):
        return HOPPER


def compiled(kernel, launch) -> Compiled:
    """Return what `launch` would have run of `kernel`."""
    made = []
    run = kernel.run

    def warm(*given, **named):
        made.append(run(*given, **{**named, "warmup": True}))

    kernel.run = warm
    launch()
    kernel.run = run
    (binary,) = made
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        usage = _said("-res-usage", file.name)
        found = _LINE.findall(_said("-sass", file.name))
    code = [(int(at, 16), op, rest) for at, op, rest in found]
    return Compiled(
        registers=int(usage.partition("REG:")[2].split()[0]),
        stack=int(usage.partition("STACK:")[2].split()[0]),
        loops=sorted(_innermost_loops(code), key=len),
        opcodes=[op for _, op, _ in code],
        ptx=binary.asm["ptx"],
    )


def _said(option: str, path: str) -> str:
    done = subprocess.run([_TOOL, option, path], check=True, capture_output=True)
    return done.stdout.decode()


def _innermost_loops(code):
    """Return the opcodes of each loop that has no loop inside."""
    spans = []
    for at, op, rest in code:
        target = re.search(r"0x([0-9a-f]+)", rest) if op == "BRA" else None
        if target and int(target[1], 16) < at:
            spans.append((int(target[1], 16), at))
    inner = [
        (low, high)
        for low, high in spans
        if not any(low <= a and b <= high for a, b in spans if (a, b) != (low, high))
    ]
    return [[op for at, op, _ in code if low <= at <= high] for low, high in inner]


def accumulate(width: int) -> Compiled:
    machine = Triton(width, HERE)
    seeds = [MaskSeed(bytes(32), Tag.PAIR)] * 3
    table, acc = machine.table(seeds, [1, -1, 1]), torch.zeros(100, dtype=torch.uint32)
    # The last place that a window can have: the largest block there is.
    launch = functools.partial(machine.add, acc, table, (1 << 64) - 100)
    return compiled(triton_kernels.accumulate, launch)


def pack(width: int) -> Compiled:
    packed, y_u = (torch.zeros(count, dtype=torch.uint32) for count in (100, 90))
    given = (packed, y_u, 90, 100)
    launch = functools.partial(run, kernels.pack, 100, *given, width=width)
    return compiled(kernels.pack, launch)


def round_off() -> Compiled:
    scale = Scale.even(bits=16, clip=1.0, coordinate_range=1.0, length=100)
    update = DeviceUpdate(torch.ones(100), scale, rounding_key=bytes(32))
    out = torch.zeros(84, dtype=torch.uint32)
    launch = functools.partial(update.write, 16, 100, Triton(24, HERE), out)
    return compiled(kernels.round_off, launch)


def main() -> None:
    triton.runtime.driver.set_active(_Driver())
    kinds = {f"accumulate-{width}": accumulate(width) for width in (16, 24, 32)}
    kinds |= {f"pack-{width}": pack(width) for width in (17, 32)}
    kinds["round_off"] = round_off()
    json.dump({name: asdict(kind) for name, kind in kinds.items()}, sys.stdout)


if __name__ == "__main__":
    main()
