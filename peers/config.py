"""The configuration of the two programs: one TOML file each, checked in full.

What a key means, its unit and its range stand here once; the errors quote it.
Paths are relative to the folder of the file. Nothing is read from the environment but
what `passphrase_env` names.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from peers.config_aggregator import AggregatorConfig
from peers.config_hospital import HospitalConfig
from peers.config_sections import Member, RosterPlace
from peers.toml_file import ConfigError, read_config

_OF_BOTH: Final = frozenset(Member.model_fields)


def load_roster_place(path: Path) -> RosterPlace:
    """Read where a program has its roster, and whose signature it asks for.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    return read_config(path, RosterPlace, example="give the program's own file")


def load_aggregator(path: Path) -> AggregatorConfig:
    """Read the file of an aggregator.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    example = "write one with `secagg aggregator --example > aggregator.toml`"
    _refuse_other(path, AggregatorConfig)
    return read_config(path, AggregatorConfig, example=example)


def load_hospital(path: Path) -> HospitalConfig:
    """Read the file of a hospital.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    example = "write one with `secagg hospital --example > hospital.toml`"
    _refuse_other(path, HospitalConfig)
    return read_config(path, HospitalConfig, example=example)


def kind_of(path: Path) -> type[AggregatorConfig | HospitalConfig] | None:
    """Return whose file it is by its keys; None if they do not say."""
    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    kinds = (AggregatorConfig, HospitalConfig)
    found = [kind for kind in kinds if keys & (set(kind.model_fields) - _OF_BOTH)]
    return found[0] if len(found) == 1 else None


def _refuse_other(path: Path, wanted: type[Member]) -> None:
    """Say in one line, and not a line a key, that a file is the other program's."""
    found = kind_of(path)
    if found is not None and found is not wanted:
        whose = ["an aggregator's", "a hospital's"]
        if found is HospitalConfig:
            whose.reverse()
        raise ConfigError(f"{path} is {whose[0]} file: give {whose[1]}")
