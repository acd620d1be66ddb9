"""The knapsack strategy: the error curve of every group, and the best use of any budget.

Where masks are tied, the outputs of group g depend on its own channels alone. So the error is a
weighed sum over groups, sum_g w_g E_g(s_g), with s_g the group's channels in every unit and w_g its
share of the points; the cost is a sum over groups, too. The search becomes

    minimise  sum_g w_g E_g(s_g)   subject to   sum_g cost_g(s_g) <= B.

``profiles`` describes s_g by a few numbers; ``scratch`` measures E_g in trainings from scratch,
each of all groups, and ``job`` in one slimmable network; ``curves`` fits E_g to the measurements,
and ``allocation`` solves the sum for all budgets B.
"""
