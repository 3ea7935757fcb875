"""The diagrams in the spec are those of the tables in the code."""

from protocol_spec import draw
from secagg.transitions import CLIENT, SERVER


def test_the_drawn_file_is_not_stale():
    assert draw.TARGET.read_text(encoding="utf-8") == draw.text()


def moves(table):
    return [
        (phase, trigger, target)
        for phase, row in table.items()
        for trigger, targets in row.items()
        for target in targets
    ]


def test_every_move_of_both_tables_is_drawn():
    drawn = draw.text()
    assert all(f"    {a} --> {b}" in drawn for a, _, b in moves(CLIENT))
    assert all(f"    {a} --> {b}: {t}" in drawn for a, t, b in moves(SERVER))
