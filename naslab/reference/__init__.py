"""Plain versions of four algorithms, to be read from top to bottom: one file, one loop, one update rule.

    darts        alternating gradients of architecture and weights   (Liu, Simonyan & Yang 2019)
    evolution    regularized evolution                               (Real, Aggarwal, Huang & Le 2019)
    reinforce    a policy that learns from rewards                   (Williams 1992; Zoph & Le 2017)
    enas         shared weights and a controller, in turns           (Pham et al. 2018)

`controller` holds the policy of the last two. Networks, data and rewards are arguments. Nothing here can be paused,
steered, saved or resumed: `naslab.searchers` does that, and the tests hold its algorithms to these.
"""
