"""``secagg doctor``: what is wrong before the first round, and what to do about it."""
