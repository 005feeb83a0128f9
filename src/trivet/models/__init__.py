"""Models: candidates are packaged, judged on held-out data, and registered as versions.

Supplied by `pipelines`, `tracking`, `data` and `statistics`. What leaves is a model version: a
package by digest, with its run, its verdict and the signature that serving enforces.
"""
