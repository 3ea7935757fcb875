"""The stage: the round that goes on at the aggregator, and the sessions before it."""

from __future__ import annotations

import collections
from typing import Final

from secagg.drivers.aggregator.rounds import Round
from secagg.drivers.aggregator.session import Session
from secagg.names import PeerId, SessionId

PAST_SESSIONS: Final = 4
"""Sessions that are over and still answered for: one round's attempts, and one more."""


class Stage:
    """What goes on at the aggregator: its round, and the sessions silos may ask for.

    Attributes:
        round: the open round.
    """

    def __init__(self) -> None:
        """Begin with nothing going on."""
        self.round: Round | None = None
        self._past: collections.deque[Session] = collections.deque(maxlen=PAST_SESSIONS)

    def session(self, sid: SessionId | None) -> Session | None:
        """Return the session of this id, if it is of this round or the last one."""
        sessions = [] if self.round is None else self.round.sessions
        return next((one for one in (*sessions, *self._past) if one.sid == sid), None)

    def retire(self, over: Round) -> None:
        """Close a round; how its sessions ended is still told to who comes back."""
        self._past.extend(over.sessions)
        self.round = None

    def running(self, peer: PeerId) -> Session | None:
        """Return the session that runs now, if `peer` is a member of it."""
        session = None if self.round is None else self.round.session
        if session is None or session.over:
            return None
        return session if peer in session.server.params.members else None
