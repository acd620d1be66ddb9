"""The knapsack strategy: one slimmable network, the error curve of every part, the best budget.

Where masks are tied, the outputs of part p depend on its own channels alone. So the error is a
weighed sum over parts, sum_p w_p E_p(s_p), with s_p the part's channels in every unit and w_p its
share of the points; so is the cost. What is left of the search is

    minimise  sum_p w_p E_p(s_p)   subject to   sum_p cost_p(s_p) <= B.

``slimmable`` trains every E_p at once, ``profiles`` describes s_p by a few numbers, ``curves`` fits
E_p to what was measured, and ``allocation`` solves the sum for all budgets B.
"""
