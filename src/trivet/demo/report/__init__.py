"""The demonstration's report: one HTML file with its charts, readable without network or script.

Supplied by: the evidence, and the summary's words for what it shows. What leaves: `page`.
"""
