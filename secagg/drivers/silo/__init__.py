"""A hospital's side: its connection, its part in a round, what it remembers."""
