"""The README's code does what it says."""

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.consortium import Consortium

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def the_block(word):
    (block,) = [block for block in BLOCKS if word in block]
    return block


async def test_the_embed_lines_return_the_mean(tmp_path):
    people = Consortium.of(4, b"readme")
    task = secagg.Task(
        task_id="readme",
        length=6,
        clip=10.0,
        weighting="weighted",
        max_weight=10,
    )
    lines = textwrap.indent(the_block("contribute"), "    ")
    source = (
        "async def hospital(\n"
        "    url, identity, roster, policy, state_directory, update, n_samples\n"
        "):\n"
        f"{lines}    return mean\n"
    )
    scope: dict[str, Any] = {"secagg": secagg}
    exec(compile(source, "README.md", "exec"), scope)  # noqa: S102 our own text
    async with secagg.serve(
        "127.0.0.1", 0, identity=people.aggregator, roster=people.roster, task=task
    ) as aggregator:
        url = f"wss://127.0.0.1:{aggregator.port}"
        updates = [np.full((2, 3), float(i)) for i in range(4)]
        hospitals = [
            scope["hospital"](
                url,
                who,
                people.roster,
                secagg.Policy(),
                tmp_path / who.id,
                update,
                1 + i,
            )
            for i, (who, update) in enumerate(
                zip(people.silos.values(), updates, strict=True)
            )
        ]
        _, *means = await asyncio.gather(aggregator.run_round(), *hospitals)
    expected = np.average(updates, axis=0, weights=[1, 2, 3, 4])
    for mean in means:
        assert mean.shape == (2, 3)
        assert mean == pytest.approx(expected, abs=1e-2)


def test_the_simulate_line_runs():
    updates = [np.full(3, float(i)) for i in range(6)]
    scope: dict[str, Any] = {"secagg": secagg, "updates": updates}
    exec(compile(the_block("simulate"), "README.md", "exec"), scope)  # noqa: S102
    assert len(scope["outcome"].sets["u3"]) == 5


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_every_link_leads_somewhere(path):
    assert (ROOT / path).exists()
