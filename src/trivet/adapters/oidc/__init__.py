"""OpenID Connect: a provider's documents, codes and signatures, by joserfc.

Supplied by `core`. What leaves is plain claims, of tokens whose signature holds.
"""
