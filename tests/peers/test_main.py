"""The command says what to install when a part of it is missing."""

import runpy
import sys

import pytest

from peers import main


def test_a_missing_package_is_named_with_the_extra(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "peers.cli", None)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert "pip install 'secagg[peers]'" in capsys.readouterr().err


def test_the_command_runs_as_a_module(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["secagg", "--version"])
    monkeypatch.delitem(sys.modules, "peers.main")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("peers.main", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("secagg ")
