"""Candidate operations, one file a kind of data."""
