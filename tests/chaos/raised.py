"""What tests of the nursery start."""

import os
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    sys.stdout.write(os.environ["SAYS"] + "\n")
    sys.stdout.flush()
    if "WAITS" in os.environ:
        while True:
            signal.pause()
    sys.stderr.write(f"{os.environ['SAYS']}, an error\n")
    sys.exit(int(os.environ["CODE"]))
