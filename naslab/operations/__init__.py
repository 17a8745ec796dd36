"""Candidate operations, one file for each kind, and the fast kernels that supernets compute them with."""
