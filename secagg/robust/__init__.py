"""Checks on a sum after it is opened."""
