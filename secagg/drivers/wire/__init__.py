"""Between the two sides: frames, TLS from identities, the handshake."""
