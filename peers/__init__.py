"""The programs people run: aggregator, hospital, demo and the secagg command."""
