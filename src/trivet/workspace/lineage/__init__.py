"""Lineage for people: from anything up to the data and code it is made of, and down to its use.

Supplied by the ledger's parents and by what programs said of their runs. What leaves is a graph.
"""
