"""Keys, sealed shares, signatures, commitments, transcripts and the keystream."""
