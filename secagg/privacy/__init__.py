"""Exact noise, its accounting and the budget."""
