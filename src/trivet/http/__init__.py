"""HTTP: the route table, in which every route declares its permission, and the guards at the door.

Supplied by `core` and `access`. `serving` and `web` answer requests through it, and only so.
"""
