"""Chaos: real hospitals and an aggregator, killed and cut at random, then judged."""
