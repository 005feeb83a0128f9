"""Model cards: what is on record about a version, and what is missing, in the accepted terms.

Supplied by facts of every room. What leaves is a card: as Markdown with metadata, HTML or JSON.
"""
