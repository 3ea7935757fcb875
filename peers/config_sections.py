"""The tables that both programs' files have, and what a table is."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from peers.config_types import (
    IdentityFile,
    PemFile,
    PublicKey,
    RosterFile,
    SomePath,
)

_NAME: Final = r"^[a-z0-9_]{1,28}$"


class Section(BaseModel):
    """A table: no unknown keys, exact types, never changed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
    )


class Tls(Section):
    """A site's own certificates instead of those made from the identities."""

    certificate: PemFile = Field(description="our certificate chain, PEM")
    key: PemFile = Field(description="its private key, PEM")
    ca: PemFile = Field(description="the CA that signed the other side, PEM")


class Log(Section):
    """Where the log goes: JSON lines."""

    file: SomePath | None = Field(
        default=None, description="a file; standard error if left out"
    )
    level: Literal["debug", "info", "warning"] = "info"


class Health(Section):
    """Where whoever watches the service may ask, over plain HTTP."""

    listen: str | None = Field(
        default=None,
        pattern=r"^\S+:\d{1,5}$",
        description="host:port for /healthz and /readyz, such as 127.0.0.1:9090",
    )


class Member(Section):
    """What both programs need to be somebody."""

    identity: IdentityFile = Field(description="our identity file")
    passphrase_file: SomePath | None = Field(
        default=None, description="a file with the passphrase of the identity"
    )
    passphrase_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="the name of an environment variable with that passphrase",
    )
    roster: RosterFile = Field(description="the consortium's signed roster")
    consortium_key: PublicKey = Field(
        description="the consortium's public key, 64 hexadecimal digits"
    )
    state: SomePath = Field(description="the folder for what must survive a restart")
    tls: Tls | None = None
    log: Log = Log()
    health: Health = Health()

    @model_validator(mode="after")
    def _one_passphrase(self) -> Self:
        if self.passphrase_file is not None and self.passphrase_env is not None:
            raise ValueError("give either passphrase_file or passphrase_env")
        return self


class Metric(Section):
    """A number that rides along, exact; a float with `decimals` of them.

    On the wire it is an integer coordinate named ``<name>`` or ``<name>_e<decimals>``,
    so both sides mean the same unit.
    """

    name: str = Field(pattern=_NAME, description="a name of a-z, 0-9 and _")
    decimals: int = Field(default=0, ge=0, le=9, description="decimals kept, 0 to 9")

    @property
    def wire_name(self) -> str:
        """The name of its extra coordinate."""
        return f"{self.name}_e{self.decimals}" if self.decimals else self.name

    @property
    def scale(self) -> int:
        """Integers per unit."""
        return int(10**self.decimals)


class RosterPlace(Section):
    """What `secagg roster install` needs of either program's file."""

    model_config = ConfigDict(extra="ignore")

    roster: SomePath
    consortium_key: PublicKey
