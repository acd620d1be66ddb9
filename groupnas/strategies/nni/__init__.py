"""The strategy ``nni``: the library NNI (extra ``nni``) proposes the groupings to try."""
