"""The version of naslab, said once."""

__version__ = "0.1.0"
