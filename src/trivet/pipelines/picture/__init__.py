"""Pictures of flows: what the code says will happen, and what the record says happened.

Supplied by `spec` and the facts of steps; what leaves is SVG, text of a terminal, Mermaid, DOT.
"""
