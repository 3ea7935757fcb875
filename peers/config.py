"""The configuration of the two programs: one TOML file each, checked in full.

What a key means, its unit and its range stand here once; the errors quote it.
Paths are relative to the folder of the file. Nothing is read from the environment but
what `passphrase_env` names.
"""

from __future__ import annotations

from pathlib import Path

from peers.config_aggregator import AggregatorConfig
from peers.config_hospital import HospitalConfig
from peers.config_sections import RosterPlace
from peers.toml_file import read_config


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
    return read_config(path, AggregatorConfig, example=example)


def load_hospital(path: Path) -> HospitalConfig:
    """Read the file of a hospital.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    example = "write one with `secagg hospital --example > hospital.toml`"
    return read_config(path, HospitalConfig, example=example)
