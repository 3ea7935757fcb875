"""A power cut, simulated: which writes a disk may have kept."""
