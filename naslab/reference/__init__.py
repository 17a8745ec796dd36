"""Plain versions of four algorithms, which can be read from top to bottom: one file, one loop, one update rule.

    darts        alternating gradients of architecture and weights   (Liu, Simonyan & Yang 2019)
    evolution    regularized evolution                               (Real, Aggarwal, Huang & Le 2019)
    reinforce    a policy that learns from rewards                   (Williams 1992; Zoph & Le 2017)
    enas         alternating updates of shared weights and controller (Pham et al. 2018)

`controller` holds the policy of the last two. Networks, data and rewards are arguments. Nothing here can be paused,
steered, saved or resumed: that is what `naslab.searchers` adds, and tests compare its algorithms with these.
"""
