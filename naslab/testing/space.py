"""What every space promises: choices and what follows from them, networks and graphs, fewer options.

The checks stand in three files, by what they are about: `space_choices`, `space_networks`, `space_masks`.
"""

from __future__ import annotations

from naslab.testing.space_choices import ChoiceChecks
from naslab.testing.space_masks import MaskChecks
from naslab.testing.space_networks import NetworkChecks


class SpaceCase(ChoiceChecks, NetworkChecks, MaskChecks):
    """Checks of a search space.

        class TestMySpace(SpaceCase):
            expected_size = 3**6

            def make(self):
                return MySpace(channels=4)

    `make` gives the space at an ordinary size. A subclass may also say `expected_size`, the number of architectures by
    a formula of its own; `small`, a size of which all architectures can be listed; `task`, where its networks are for
    neither images nor text; and `supernet_sizes`, the keyword arguments with which a supernet is small.

    Checks of supernets apply to spaces that are `Mixable` (`supernet`, `discretize`, ...), `Shared`
    (`shared_weights`), or drawn as one graph (`supergraph`); for others they are skipped.
    """
