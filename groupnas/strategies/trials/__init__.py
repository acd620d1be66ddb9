"""Black-box search over group sizes: every trial trains one grouping from scratch, briefly.

Within a unit only the sizes of the groups matter to an untrained network, so only they are
searched: as a short vector of logarithms of sizes (:mod:`.encoding`), at equal cost.
"""
