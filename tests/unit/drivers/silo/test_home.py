import pytest

from secagg.drivers.silo.home import default_directory
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId


def bern(seed: bytes = b"one") -> Identity:
    return Identity.generate(PeerId("bern"), SeededEntropy(seed))


def test_the_default_directory_is_named_after_the_id_and_the_key(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    key = bern().key.public.hex()[:16]
    assert default_directory(bern()) == tmp_path / "secagg" / f"bern-{key}"
    assert default_directory(bern(b"another key")) != default_directory(bern())


@pytest.mark.parametrize("named", [None, "", "not/absolute"])
def test_without_a_state_home_the_default_lies_in_the_users_own(
    tmp_path, monkeypatch, named
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_STATE_HOME", named)
    parent = tmp_path / ".local" / "state" / "secagg"
    assert default_directory(bern()).parent == parent
