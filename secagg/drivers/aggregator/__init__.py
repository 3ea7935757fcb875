"""The aggregator's side: members, rounds, sessions, journal, spool and release."""
