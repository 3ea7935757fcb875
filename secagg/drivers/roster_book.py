"""The roster book: the versions of the roster that one side has pinned, durably.

It grows while a process runs, and everything that asks for the newest version asks here
(rules 2.1-5, 2.1-6). Besides a site's own roster file it keeps one in the state
directory, in the same form, for what it was shown by others.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from secagg import durable, errors
from secagg.roster import Roster, SignedRoster
from secagg.roster_chain import RosterChain

FILE_NAME: Final = "roster.json"
"""The book's file in a state directory."""


class RosterBook:
    """The pinned versions of one roster.

    Attributes:
        grows: whether a newer version that others show is pinned.
    """

    def __init__(
        self,
        pinned: RosterChain | Roster,
        path: Path | None = None,
        *,
        grows: bool = True,
    ) -> None:
        """Hold what is pinned.

        Args:
            pinned: a chain; or one roster by itself, which never changes.
            path: the file of what is pinned; None for a book that goes with the
                process. It is read by `open`.
            grows: whether versions that others show are pinned; if not, the site's
                operator does that.
        """
        self._chain = pinned if isinstance(pinned, RosterChain) else None
        self._alone = pinned if isinstance(pinned, Roster) else None
        self._path = path
        self.grows = grows and self._chain is not None

    @classmethod
    def open(
        cls,
        directory: Path,
        given: RosterChain,
        *,
        grows: bool = True,
        looks: bool = False,
    ) -> RosterBook:
        """Take up the book of a state directory, with what the site's file has more.

        Args:
            directory: made if need be.
            given: of the site's own roster file; the consortium's key is taken from it.
            grows: as for the book.
            looks: whether to leave the directory as it is: what is pinned then goes
                with the process.

        Raises:
            RemoteProtocolError: the two were forked (rule 2.1-5).
            StateError: the file cannot be read or written.
        """
        path = directory / FILE_NAME
        kept = _kept(path, given.consortium_key)
        book = cls(kept or given, None if looks else path, grows=grows)
        if kept is None:
            book._write(given)
        book.pin(given.versions)
        return book

    @property
    def newest(self) -> Roster:
        """The newest version."""
        if self._alone is not None:
            return self._alone
        assert self._chain is not None  # noqa: S101 one of the two is there
        return self._chain.newest

    @property
    def largest(self) -> int:
        """The most members that a version has."""
        return len(self.newest.members) if self._chain is None else self._chain.largest

    @property
    def versions(self) -> tuple[Roster, ...]:
        """Every version, oldest first."""
        if self._chain is None:
            return (self.newest,)
        return tuple(one.claimed for one in self._chain.versions)

    def version(self, number: int) -> Roster | None:
        """Return the version of this number, if it is here."""
        found = (one for one in self.versions if one.version == number)
        return next(found, None)

    def named(self, roster_hash: bytes) -> Roster | None:
        """Return the version of this hash, if it is here."""
        if self._chain is None:
            return self.newest if self.newest.hash == roster_hash else None
        return self._chain.named(roster_hash)

    def after(self, number: int) -> tuple[SignedRoster, ...]:
        """Return the signed versions behind that of this number, oldest first."""
        return () if self._chain is None else self._chain.after(number)

    def judged(self, versions: Iterable[SignedRoster]) -> Roster:
        """Verify versions and return what would be the newest one; pin nothing.

        Raises:
            RemoteProtocolError, LocalProtocolError: as `pin`.
        """
        return self._longer(versions).newest

    def pin(self, versions: Iterable[SignedRoster]) -> bool:
        """Verify versions and pin those that are new; return whether there are any.

        They are on the disk when this returns (rule 2.1-6).

        Raises:
            RemoteProtocolError: rules 2.1-2, 2.1-4, 2.1-5; nothing was pinned.
            StateError: not written; nothing was pinned.
            LocalProtocolError: this book holds one roster by itself.
        """
        longer = self._longer(versions)
        if longer.newest.version == self.newest.version:
            return False
        self._write(longer)
        self._chain = longer
        return True

    def _longer(self, versions: Iterable[SignedRoster]) -> RosterChain:
        if self._chain is None:
            raise errors.LocalProtocolError(
                "this roster came by itself, without the consortium's key: open a"
                " RosterBook to follow its further versions"
            )
        return self._chain.extended(versions)

    def _write(self, chain: RosterChain) -> None:
        """Put a chain in the place of the file, whole or not at all."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(self._path, chain.to_json().encode())
        except OSError as error:
            raise errors.StateError(
                f"the roster cannot be pinned in {self._path}: {error.strerror};"
                " correct the path `state`, its permissions, or free some space"
            ) from None


def _kept(path: Path, consortium_key: bytes) -> RosterChain | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from None
    try:
        return RosterChain.from_json(text, consortium_key)
    except (errors.ParameterError, errors.RemoteProtocolError) as error:
        raise _unusable(path, str(error)) from None


def _unusable(path: Path, why: str) -> errors.StateError:
    return errors.StateError(
        f"the pinned roster in {path} cannot be used: {why}. Move it away only to put"
        " the consortium's newest roster file in its place: an older one would take"
        " back who was removed since"
    )
