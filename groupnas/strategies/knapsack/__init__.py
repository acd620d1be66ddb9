"""The knapsack strategy: the error curve of every part, and the best use of any budget.

Where masks are tied, the outputs of part p depend on its own channels alone. So the error is a
weighed sum over parts, sum_p w_p E_p(s_p), with s_p the part's channels in every unit and w_p its
share of the points; so is the cost. What is left of the search is

    minimise  sum_p w_p E_p(s_p)   subject to   sum_p cost_p(s_p) <= B.

``profiles`` describes s_p by a few numbers; ``scratch`` measures E_p in trainings from scratch,
each of all parts, and ``job`` in one slimmable network; ``curves`` fits E_p to what was measured,
and ``allocation`` solves the sum for all budgets B.
"""
