"""An identity: a member's id and its Ed25519 key, and the file that holds them.

The public half is enrolled in the roster out of band; the secret half never leaves the
machine it was made on. The file is refused if other accounts there may read it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from secagg import errors, jsontext
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.sign import SEED_SIZE, SigningKey
from secagg.entropy import Entropy
from secagg.names import PEER_ID, PeerId

FORMAT: Final = "secagg-identity/1"
"""What an identity file calls itself."""

_FIELDS: Final = ("id", "public", "seed")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identity:
    """Who this process is.

    Attributes:
        id: as in the roster.
        seed: the secret of the key, 32 bytes; never shown.
        key: the signing key made from it.

    Raises:
        ParameterError: the id is not well-formed, or the seed is not 32 bytes.
    """

    id: PeerId
    seed: bytes
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        """Derive the key."""
        if not PEER_ID.fullmatch(self.id):
            raise errors.ParameterError(
                f"the id {self.id!r} is not 1 to 64 of a-z, 0-9 and -"
            )
        object.__setattr__(self, "key", SigningKey(self.seed))

    def __repr__(self) -> str:
        """Show who it is, and no secret."""
        return f"Identity({self.id!r}, <redacted>, fingerprint={self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the public key, to compare by telephone."""
        return fingerprint(self.key.public)

    @classmethod
    def generate(cls, id: PeerId, entropy: Entropy) -> Identity:
        """Make a new identity; its seed is drawn as ``identity``."""
        return cls(id, entropy.draw("identity", SEED_SIZE))

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read an identity file.

        Raises:
            StateError: there is none, others may read it, or it is damaged; the message
                says what to do.
        """
        text = _read_private(path)
        try:
            fields = jsontext.read("it", text, FORMAT, _FIELDS)
            peer = jsontext.typed("its id", fields["id"], str)
            public = jsontext.blob("its public key", fields["public"], 32)
            identity = cls(
                PeerId(peer), jsontext.blob("its seed", fields["seed"], SEED_SIZE)
            )
        except errors.ParameterError as error:
            raise _damaged(path, str(error)) from None
        if identity.key.public != public:
            raise _damaged(path, "its public key is not that of its seed")
        return identity

    def save(self, path: Path) -> None:
        """Write a new identity file that only its owner may read.

        Raises:
            StateError: the file exists already, or cannot be written.
        """
        fields = {
            "id": self.id,
            "public": self.key.public.hex(),
            "seed": self.seed.hex(),
        }
        try:
            _write_private(path, jsontext.write(FORMAT, fields))
        except FileExistsError:
            raise errors.StateError(
                f"{path} exists, and an identity is never overwritten: move it away, or"
                " choose another path"
            ) from None
        except OSError as error:
            raise errors.StateError(
                f"cannot write the identity to {path}: {error.strerror}"
            ) from None


def _read_private(path: Path) -> str:
    """Return the text of `path`, looked at and read through one open file."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _OTHERS:
                raise errors.StateError(
                    f"other accounts may use the identity in {path} (mode {mode:03o}):"
                    f" run `chmod 600 {path}`; if they may have read it, make a new"
                    " identity and enrol that"
                )
            return file.read()
    except UnicodeDecodeError:
        raise _damaged(path, "it is not text") from None
    except FileNotFoundError:
        raise errors.StateError(
            f"there is no identity in {path}: check the path, or make one with"
            " `secagg identity new`"
        ) from None
    except OSError as error:
        raise errors.StateError(
            f"cannot read the identity in {path}: {error.strerror}"
        ) from None


def _write_private(path: Path, text: str) -> None:
    """Create `path`, for its owner alone from the first moment, and make it durable."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _damaged(path: Path, why: str) -> errors.StateError:
    return errors.StateError(
        f"{path} holds no usable identity: {why}; restore the file from a backup, or"
        " make a new identity with `secagg identity new` and enrol that"
    )
