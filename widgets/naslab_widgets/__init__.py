"""Live views of naslab's searches, for Jupyter."""
