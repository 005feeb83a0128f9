"""How values of the usual libraries become files and come back, one module per family.

Supplied by `pipelines.materialisers` and the library at hand, which is loaded only once a value of
its types, or a file that holds one, is there. What leaves is `standard.LEAVES` and `.COMPOSITES`.
"""
