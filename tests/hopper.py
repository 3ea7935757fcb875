"""What the kernels become on a Hopper GPU, compiled here, where there need not be one.

Run as a program, in a process of its own without TRITON_INTERPRET: it prints JSON, by
kernel and width. Triton brings the compiler and the disassembler along.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget

from secagg import field
from secagg.device import kernels
from secagg.engine import triton_kernels

HOPPER = GPUTarget("cuda", 90, 32)
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


def compiled(kernel, signature, constants, warps) -> Compiled:
    types = signature | dict.fromkeys(constants, "constexpr")
    source = triton.compiler.ASTSource(kernel, types, constants)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    made = triton.compile(source, target=HOPPER, options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = _said("-res-usage", file.name)
        code = [
            (int(at, 16), op, rest)
            for at, op, rest in _LINE.findall(_said("-sass", file.name))
        ]
    return Compiled(
        registers=int(usage.partition("REG:")[2].split()[0]),
        stack=int(usage.partition("STACK:")[2].split()[0]),
        loops=sorted(_innermost_loops(code), key=len),
        opcodes=[op for _, op, _ in code],
        ptx=made.asm["ptx"],
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
    signature = {
        "acc": "*u32",
        "table": "*u32",
        "count": "i32",
        "first": "i64",
        "skip": "i32",
        "size": "i64",
        "base": "i64",
    }
    constants = {"p": field.PRIMES[width], "side": 1, "blocks": 32}
    return compiled(triton_kernels.accumulate, signature, constants, 1)


def pack(width: int) -> Compiled:
    signature = {"out": "*u32", "elements": "*u32", "size": "i64", "count": "i64"}
    constants = {"width": width, "side": 1, "blocks": 32}
    return compiled(kernels.pack, signature, constants, 1)


def round_off() -> Compiled:
    signature = {
        "out": "*u32",
        "scaled": "*i64",
        "seed": "*u32",
        "first": "i64",
        "size": "i64",
    }
    constants = {"p": field.PRIMES[24], "side": 1, "blocks": 32}
    return compiled(kernels.round_off, signature, constants, 1)


def main() -> None:
    kinds = {f"accumulate-{width}": accumulate(width) for width in (16, 24, 32)}
    kinds |= {f"pack-{width}": pack(width) for width in (17, 32)}
    kinds["round_off"] = round_off()
    json.dump({name: asdict(kind) for name, kind in kinds.items()}, sys.stdout)


if __name__ == "__main__":
    main()
