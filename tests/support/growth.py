"""How the work of something grows with its input, told from processor time."""

import time
from collections.abc import Callable

_ENOUGH_S = 0.002
_TRIES = 5
_MOST = 3.0
"""Twice the input may take so many times as long: two and some for caches and the collector; four is quadratic."""


def is_linear(run: Callable[[int], object], *, length: int) -> bool:
    """Tell whether twice the input takes about twice as long; what takes next to no time does, however it grows.

    run     does the work for an input of a length, and may raise nothing
    length  the smaller one
    """
    for _ in range(_TRIES):  # a neighbour on the machine may disturb one measurement, not all of them
        longer = _best(run, 2 * length)
        if longer < _ENOUGH_S or longer < _MOST * _best(run, length):
            return True
    return False


def _best(run: Callable[[int], object], length: int) -> float:
    return min(_once(run, length) for _ in range(3))


def _once(run: Callable[[int], object], length: int) -> float:
    start = time.process_time()
    run(length)
    return time.process_time() - start
