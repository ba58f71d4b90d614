"""A turn of the peers' side: runs to warm up, then timed ones. It does not know what runs."""

import resource
import time


def turn(run, seconds):
    """Five runs to warm up, then runs until the seconds are over, at least ten: the parts of the JSON line that tell of them."""
    first = run()
    for _ in range(4):
        run()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        begin = time.perf_counter()
        last = run()
        times.append(1e3 * (time.perf_counter() - begin))
    times.sort()
    return {
        "steps": len(times),
        "median_ms": times[len(times) // 2],
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss_first": first,
        "loss_last": last,
    }
