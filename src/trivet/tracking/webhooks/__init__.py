"""Web hooks: addresses that programs register to be told when something happens here.

Supplied by `core`. What leaves are tasks for the outbox, in the commit of what they tell about;
whoever works the outbox posts them.
"""
