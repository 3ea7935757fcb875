"""Mask engines: expand seeds and add the masks into an accumulator."""
