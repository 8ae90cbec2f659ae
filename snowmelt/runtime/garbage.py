"""How often Python looks for garbage in cycles."""

import gc


def seldom() -> None:
    """For a process that has started and handles records by batches: what it holds by now is no garbage.

    A batch makes tens of thousands of tuples and messages, none of them in a cycle; looking through them after every
    700, as Python does by default, took a quarter of the feature lane's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
