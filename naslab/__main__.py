"""`python -m naslab` prints what naslab finds on this machine."""

import sys

from naslab.machine import machine

sys.stdout.write(f"{machine()}\n")
