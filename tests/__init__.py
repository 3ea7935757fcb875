"""Tests read as rules."""
