"""The rounds of a session, one module each, both halves, pure."""
