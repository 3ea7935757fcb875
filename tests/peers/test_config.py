"""peers.config: what a file may say, and what is said of each mistake in it."""

import pytest

from peers.config import load_aggregator, load_hospital
from peers.toml_file import ConfigError, line_of

HOSPITAL = """
aggregator = "wss://agg.example:8443"
identity = "bern.identity.json"
roster = "roster.json"
consortium_key = "KEY"
state = "state"

[training]
trainer = "our_training:train"

[training.options]
epochs = 2

[policy]
min_members = 4
"""

AGGREGATOR = """
identity = "agg.identity.json"
roster = "roster.json"
consortium_key = "KEY"
state = "state"

[task]
id = "cardio-1"
rounds = 10
clip = 4.0
weighting = "weighted"
max_weight = 500

[task.durations]
masked_input = 2.5

[[task.extras]]
name = "cases"
low = 0
high = 1000

[[task.extras]]
name = "loss"
low = 0
high = 10
decimals = 4

[model]
factory = "our_model:initial"
"""

LOADERS = {"hospital": (HOSPITAL, load_hospital), "agg": (AGGREGATOR, load_aggregator)}


def load(consortium, kind, *edits):
    """Load the file of `kind` after replacing each (old, new) of `edits`."""
    text, loader = LOADERS[kind]
    text = text.replace("KEY", consortium.key.hex())
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return loader(consortium.write(f"{kind}.toml", text))


def refusal(consortium, kind, *edits):
    with pytest.raises(ConfigError) as caught:
        load(consortium, kind, *edits)
    return str(caught.value)


def test_a_hospitals_file_is_read(consortium) -> None:
    config = load(consortium, "hospital")
    assert config.identity == consortium.folder / "bern.identity.json"
    assert config.consortium_key == consortium.key
    assert config.training.options == {"epochs": 2}
    assert config.tasks is None
    assert config.engine == "auto"


def test_a_hospital_may_have_a_gpu(consortium) -> None:
    given = ("identity =", 'engine = "triton"\nidentity =')
    assert load(consortium, "hospital", given).engine == "triton"


def test_an_aggregators_file_is_read(consortium) -> None:
    config = load(consortium, "agg")
    assert config.task.max_weight == 500
    assert config.task.durations.milliseconds[3] == 2500
    assert [extra.wire_name for extra in config.task.extras] == ["cases", "loss_e4"]
    assert config.listen.port == 8443


MISTAKES = {
    "an engine that there is not": (
        ("hospital", ("identity =", 'engine = "cuda"\nidentity =')),
        ["line 3: engine", "'numba-threads' or 'triton'"],
    ),
    "a proxy without a scheme": (
        ("hospital", ("identity =", 'proxy = "proxy:3128"\nidentity =')),
        ["line 3: proxy", "http://proxy:3128"],
    ),
    "a keepalive that proxies cut": (
        ("hospital", ("identity =", "keepalive = 60.0\nidentity =")),
        ["line 3: keepalive", "less than or equal to 55", "seconds between pings"],
    ),
    "no time to come back": (
        ("agg", ("rounds = 10", "rounds = 10\nreconnect = 0.0")),
        ["task.reconnect", "greater than 0", "added to the first deadline"],
    ),
    "a key with a letter wrong": (
        ("hospital", ("identity =", "idenity =")),
        ["hospital.toml, line 3: idenity: unknown key; did you mean 'identity'?"],
    ),
    "a missing key": (
        ("agg", ('id = "cardio-1"\n', "")),
        ["agg.toml, line 7: task.id: this key is missing", "the task's id"],
    ),
    "a missing table": (
        ("agg", ('[model]\nfactory = "our_model:initial"\n', "")),
        ["agg.toml: model: this key is missing", "the table [model]"],
    ),
    "an unknown table": (
        ("hospital", ("[policy]", "[polices]")),
        ["line 14: polices: unknown key; did you mean 'policy'?"],
    ),
    "a number as text": (
        ("agg", ("rounds = 10", 'rounds = "10"')),
        ["line 9: task.rounds: must be a valid integer, not the text '10'"],
    ),
    "a fraction for an integer": (
        ("agg", ("rounds = 10", "rounds = 2.5")),
        ["task.rounds", "integer", "2.5"],
    ),
    "a number out of range": (
        ("agg", ("clip = 4.0", "clip = 4.0\nbits = 40")),
        ["line 11: task.bits: must be less than or equal to 24, not 40"],
    ),
    "an infinite clip": (
        ("agg", ("clip = 4.0", "clip = inf")),
        ["task.clip", "finite"],
    ),
    "a word that is not one of the choices": (
        ("agg", ('"weighted"', '"wieghted"')),
        ["task.weighting", "'uniform' or 'weighted'"],
    ),
    "weights that contradict each other": (
        ("agg", ('weighting = "weighted"\n', "")),
        ["line 7: task: max_weight needs"],
    ),
    "a range above the clip": (
        ("agg", ("clip = 4.0", "clip = 4.0\nrange = 5.0")),
        ["task: range is above clip = 4"],
    ),
    "a tensor's range above the clip": (
        ("agg", ("clip = 4.0", 'clip = 4.0\nranges = { "w" = 5.0 }')),
        ["task: range is above clip = 4"],
    ),
    "a tensor's range of nothing": (
        ("agg", ("clip = 4.0", 'clip = 4.0\nranges = { "w" = 0.0 }')),
        ["task.ranges.w", "greater than 0"],
    ),
    "a rotation beside ranges by tensor": (
        ("agg", ("clip = 4.0", 'clip = 4.0\nrotation = true\nranges = { "w" = 1.0 }')),
        ["task: a rotation mixes the tensors"],
    ),
    "an extra's bounds the wrong way round": (
        ("agg", ("high = 10\n", "high = -1\n")),
        ["line 22: task.extras.1: low = 0 is above high = -1"],
    ),
    "an extra's name in capitals": (
        ("agg", ('"loss"', '"Loss"')),
        ["line 23: task.extras.1.name: the text 'Loss' is not a name"],
    ),
    "two extras of one name": (
        ("agg", ('"loss"', '"cases"'), ("decimals = 4\n", "")),
        ["task: two extras have the same name"],
    ),
    "no identity file": (
        ("hospital", ("bern.identity.json", "bern.json")),
        ["line 3: identity: there is no file", "bern.json", "`secagg identity new`"],
    ),
    "a file whose suffix is wrong": (
        ("hospital", ('"roster.json"', '"roster.toml"')),
        ["roster: there is no file", "(there is roster.json)"],
    ),
    "a path that is no text": (
        ("hospital", ('state = "state"', "state = 5")),
        ["line 6: state: must be a path, in quotes"],
    ),
    "a consortium key that is cut": (
        ("hospital", ('consortium_key = "', 'consortium_key = "zz')),
        ["line 5: consortium_key: must be", "64 hexadecimal digits"],
    ),
    "an address without its scheme": (
        ("hospital", ("wss://", "")),
        ["line 2: aggregator", "wss://host:port"],
    ),
    "a trainer without its function": (
        ("hospital", ("our_training:train", "our_training")),
        ["line 9: training.trainer: must be 'module:function'"],
    ),
    "no source of the model": (
        ("agg", ('factory = "our_model:initial"', "")),
        ["model: give either path or factory"],
    ),
    "a negative duration": (
        ("agg", ("masked_input = 2.5", "masked_input = -2.5")),
        ["line 15: task.durations.masked_input: must be greater than 0"],
    ),
    "noise on a weighted mean": (
        (
            "agg",
            (
                "[model]",
                "[privacy]\nnoise_multiplier = 2.0\nepsilon = 8.0\ndelta = 1e-5\n"
                "[model]",
            ),
        ),
        ["agg.toml: ", "sum of the weights", 'weighting = "uniform"'],
    ),
    "a list where a table belongs": (
        ("hospital", ('state = "state"', 'state = "state"\nlog = [1]')),
        ["line 7: log: must be a table, not a list"],
    ),
    "a text without quotes": (
        ("hospital", ('state = "state"', "state = state")),
        ["not TOML", "line 6", "in quotes"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_remedy(consortium, mistake) -> None:
    (kind, *edits), told = MISTAKES[mistake]
    text = refusal(consortium, kind, *edits)
    assert [part for part in told if part not in text] == [], text


def test_all_mistakes_come_at_once(consortium) -> None:
    text = refusal(
        consortium, "agg", ("rounds = 10", "rounds = 0"), ("clip = 4.0", "clip = 0")
    )
    assert len(text.splitlines()) == 2


def test_a_missing_file_says_where_it_was_looked_for(tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_hospital(tmp_path / "hospitl.toml")
    assert str(tmp_path) in str(caught.value)
    assert "--example" in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        load_hospital(tmp_path)


def test_a_binary_file_is_told(tmp_path) -> None:
    path = tmp_path / "hospital.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_hospital(path)


LINES = """\
state = "x"
[task]
id = "y"
[task.durations]
"masked_input" = 1
[[task.extras]]
name = "a"
[[task.extras]]
name = "b"
[model]
id = "z"
"""

PLACES = {
    ("state",): 1,
    ("task",): 2,
    ("task", "id"): 3,
    ("task", "missing"): 2,
    ("task", "durations", "masked_input"): 5,
    ("task", "extras", 0, "name"): 7,
    ("task", "extras", 1, "name"): 9,
    ("task", "extras", 1): 8,
    ("model", "id"): 11,
    ("nowhere",): None,
}


@pytest.mark.parametrize("place", PLACES)
def test_the_line_of_a_key_is_found(place) -> None:
    assert line_of(LINES, place) == PLACES[place]


SERVER = "postgresql://secagg:canary@127.0.0.1/secagg"


def test_a_journal_may_be_in_a_database_whose_password_no_repr_shows(
    consortium,
) -> None:
    table = f'[journal]\nurl = "{SERVER}"\n\n[model]'
    config = load(consortium, "agg", ("[model]", table))
    assert config.journal.database is not None
    assert config.journal.database.text == SERVER
    assert "canary" not in repr(config)


def test_without_a_url_the_journal_is_in_the_state_folder(consortium) -> None:
    assert load(consortium, "agg").journal.database is None


@pytest.mark.parametrize("url", ['"mysql://u:canary@h/d"', '["canary"]', "7"])
def test_a_url_that_is_none_is_not_quoted(consortium, url) -> None:
    with pytest.raises(ConfigError, match=r"journal\.url: must be postgres") as caught:
        load(consortium, "agg", ("[model]", f"[journal]\nurl = {url}\n\n[model]"))
    assert "canary" not in str(caught.value)


def test_the_key_of_the_template_is_no_key(consortium) -> None:
    said = refusal(consortium, "hospital", (consortium.key.hex(), "0" * 64))
    assert "line 5: consortium_key: must be" in said
    assert "not the template's zeros" in said
