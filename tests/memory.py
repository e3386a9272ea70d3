"""How much memory something takes."""

import tracemalloc


def peak_of(function, *args):
    """Bytes that Python and numpy held at most, beside what was there before."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
