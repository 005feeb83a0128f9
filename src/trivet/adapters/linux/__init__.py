"""Linux: what a machine and a container do, read from `/proc`, `/sys/class/powercap` and cgroups.

Supplied by `core` and the kernel. What leaves is a `Meter`.
"""
