"""Operators that start, fetch, decide and clean up."""
