"""Drivers: run a machine over a transport; clocks and sockets live here."""
