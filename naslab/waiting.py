"""Threads sleep while they wait for each other: asked for before torch starts them, see `naslab.threads`.

What the environment says already is left alone, and where torch was imported first this comes too late.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # GNU's and LLVM's OpenMP
os.environ.setdefault("KMP_BLOCKTIME", "0")  # Intel's
