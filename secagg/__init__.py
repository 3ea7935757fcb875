"""Secure aggregation: many parties add up vectors; nobody learns more than the sum."""

__version__ = "0.1.0"
