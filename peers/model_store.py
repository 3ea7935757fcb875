"""Where the aggregator keeps the global model: files by hash, and which one is current.

A model is written whole beside its place and moved there; the mark that says which one
is current is replaced last, in one step. So after a crash at any point the current
model is one that was released, and a round that was discarded changes no byte.

A store belongs to one task and to the first model it began with: another task, or
another first model, would silently throw away what was released.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from peers.model_file import model_hash
from secagg import durable, errors

CURRENT: Final = "current.safetensors"
"""A second name of the current model's file, for people and other programs."""

_MARK: Final = "mark.json"
_SUFFIX: Final = ".safetensors"

# An infinite round is an OverflowError, and arrays in arrays a RecursionError.
_UNREADABLE: Final = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which model is current.

    Attributes:
        task: the task's id.
        origin: where the first model came from, such as the hash of its file.
        models: the hashes of the last models as hexadecimal digits, newest last.
        round_no: the last round that was settled; 0 for none.
        completed: how many rounds had a Result.
    """

    task: str
    origin: str = ""
    models: tuple[str, ...] = ()
    round_no: int = 0
    completed: int = 0


class ModelStore:
    """A directory of models."""

    def __init__(self, directory: Path, *, task: str, keep: int = 1) -> None:
        """Use `directory`, making it if need be.

        Args:
            directory: of this task alone.
            task: the task's id.
            keep: how many of the last models stay, at least 1.

        Raises:
            StateError: it cannot be used, is damaged, or is another task's.
        """
        self._directory = directory
        self._task = task
        self._keep = keep
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.StateError(
                f"cannot use the model directory {directory}: {error.strerror}"
            ) from error
        self._mark = self._read_mark()

    @property
    def empty(self) -> bool:
        """Whether there is no model yet; call `begin` then."""
        return not self._mark.models

    @property
    def mark(self) -> Mark:
        """Which model is current, and after which round."""
        return self._mark

    @property
    def current(self) -> bytes:
        """The hash of the current model, 32 bytes."""
        return bytes.fromhex(self._mark.models[-1])

    def begin(self, blob: bytes, *, origin: str = "") -> None:
        """Make `blob` the first model; it came from `origin`.

        Raises:
            StateError: it cannot be written.
        """
        models = (self.put(blob).hex(),)
        self._settle(Mark(task=self._task, origin=origin, models=models))

    def require_origin(self, origin: str) -> None:
        """Refuse a store that began with a first model from elsewhere.

        Raises:
            StateError: it did; says what to do.
        """
        began = self._mark.origin
        if began != origin:
            raise errors.StateError(
                f"{self._directory / _MARK}: the models here began with {began}, and"
                f" [model] now says {origin}: put the former back to go on, or give"
                " each task its own state directory"
            )

    def put(self, blob: bytes) -> bytes:
        """Store a model under its hash, durably, and return the hash.

        It becomes the current one only by `settle`.

        Raises:
            StateError: it cannot be written.
        """
        digest = model_hash(blob)
        self._write(self._path(digest.hex()), blob)
        return digest

    def read(self, digest: bytes | None = None) -> bytes:
        """Return a model's bytes; the current one's if no hash is given.

        Raises:
            StateError: it is not there, or its bytes have another hash.
        """
        wanted = self.current if digest is None else digest
        path = self._path(wanted.hex())
        try:
            blob = path.read_bytes()
        except OSError as error:
            raise errors.StateError(
                f"the model {path} cannot be read: {error.strerror}; restore it from a"
                " backup, a hospital has it as well"
            ) from error
        if model_hash(blob) != wanted:
            raise errors.StateError(
                f"the model {path} is damaged: its bytes have another hash; restore it"
                " from a backup"
            )
        return blob

    def settle(self, round_no: int, *, model: bytes | None, completed: bool) -> None:
        """Note that a round is over, once; a round settled before changes nothing.

        Args:
            round_no: the round.
            model: the hash of the model that is current now; None for the same one.
            completed: whether the round had a Result.

        Raises:
            StateError: the model is not here, or nothing can be written.
        """
        if round_no <= self._mark.round_no:
            return
        models = self._mark.models
        if model is not None and model.hex() != models[-1]:
            self.read(model)
            models = (*models, model.hex())
        self._settle(
            replace(
                self._mark,
                models=models[-self._keep :],
                round_no=round_no,
                completed=self._mark.completed + completed,
            )
        )

    def _settle(self, mark: Mark) -> None:
        text = json.dumps(asdict(mark), indent=2) + "\n"
        self._write(self._directory / _MARK, text.encode("ascii"))
        self._mark = mark
        self._name_current()
        self._drop_old()

    def _name_current(self) -> None:
        """Give the current model its second name, in one step."""
        beside = self._directory / (CURRENT + ".part")
        model = self._path(self.current.hex())
        try:
            beside.unlink(missing_ok=True)
            _link_or_copy(model, beside)
            beside.replace(self._directory / CURRENT)
        except OSError as error:
            raise self._unwritable(beside, error) from error

    def _drop_old(self) -> None:
        kept = {*self._mark.models, Path(CURRENT).stem}
        for path in self._directory.glob("*" + _SUFFIX):
            if path.stem not in kept:
                path.unlink()

    def _read_mark(self) -> Mark:
        path = self._directory / _MARK
        if not path.exists():
            return Mark(task=self._task)
        try:
            fields = json.loads(path.read_text(encoding="ascii"))
            mark = Mark(
                task=str(fields["task"]),
                origin=str(fields["origin"]),
                models=tuple(bytes.fromhex(name).hex() for name in fields["models"]),
                round_no=int(fields["round_no"]),
                completed=int(fields["completed"]),
            )
        except _UNREADABLE as error:
            raise errors.StateError(
                f"{path} is damaged ({error}): restore the model directory from a"
                " backup"
            ) from error
        if mark.task != self._task:
            raise errors.StateError(
                f"{path} is of task {mark.task!r}, after round {mark.round_no}, and not"
                f" of {self._task!r}: give each task its own state directory"
            )
        return mark

    def _path(self, name: str) -> Path:
        return self._directory / (name + _SUFFIX)

    def _write(self, path: Path, blob: bytes) -> None:
        try:
            durable.replace(path, blob)
        except OSError as error:
            raise self._unwritable(path, error) from error

    def _unwritable(self, path: Path, error: OSError) -> errors.StateError:
        return errors.StateError(
            f"cannot write {path}: {error.strerror}; free some space, or check the"
            " permissions"
        )


def _link_or_copy(file: Path, name: Path) -> None:
    """Give `file` a second name; some file systems have none, and get a copy."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
