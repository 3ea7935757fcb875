"""Drivers: run the machines over a transport; clocks, sockets and disks live here.

`api` has the two doors. `silo` is a hospital's side, `aggregator` the other one, and
neither knows the other. `wire` is between them: frames, TLS, the handshake.
"""
