"""A program that reports to a server: `remote_child.py URL POINTS [PAUSE_S]`; it prints as it goes.

It flushes after every 500th point and says how many are durable by then.
"""

import logging
import sys
import time

import trivet as tv

if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    url, points = sys.argv[1], int(sys.argv[2])
    pause_s = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    with tv.open(url) as ws, ws.tracking.begin("digits", name="child", system=False) as run:
        print(run.id, flush=True)
        run.set_parameters(lr=0.1)
        run.artifact(bytes(range(256)) * 2000, "half-a-megabyte.bin")
        for step in range(points):
            run.log(loss=step * 0.5, step=step)
            if step % 500 == 499:
                run.flush()
                print(step + 1, flush=True)
                time.sleep(pause_s)
