"""A suite of edits: small projects, one change to each, and whether a step must run again."""
