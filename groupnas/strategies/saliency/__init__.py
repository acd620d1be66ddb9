"""The saliency strategy: prune what was trained, while it goes on learning.

A network is trained at full width. Then the channels whose loss would be felt least, per unit of
what they cost, go: over all groups, units and depths at once, and training continues in between.
The order in which they went answers every budget below the start; the network of any is fine-tuned
with the weights that it has, or its sizes are trained from scratch.

``importance`` measures what a channel is worth, ``removal`` decides which goes next, ``pruning`` is
the training in which they go, and ``job`` the whole search.
"""
