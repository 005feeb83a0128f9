"""Reports as one HTML file: escaped markup, charts as SVG text, the page around them.

Supplied by `core`. What leaves needs no network, no script and no library to be read.
"""
