# SPDX-License-Identifier: Apache-2.0
"""What a soak looks at: memory and descriptors of a process, over its time."""
import os

from . import probes

MINUTES = float(os.environ.get("HYPERWAY_SOAK_MINUTES") or 0)
PAUSE = 0.02 if MINUTES else 0  # of a client between two requests
WARM_UP = 60 * MINUTES / 6  # seconds until memory is looked at
SAMPLE_SECONDS = 10


def slope(samples):
    """Bytes an hour, by least squares, of [(seconds, bytes)]."""
    count = len(samples)
    mean_x, mean_y = sum(x for x, _ in samples) / count, sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread


class Samples:
    """Those of one process in a soak; without a soak there are none, and nothing is judged."""

    def __init__(self, name, pid):
        self.name, self.pid, self.taken = name, pid, []

    def take(self, seconds, said):
        """Looks at the process if it is time; `said` stands in the line about it."""
        if not MINUTES or seconds < WARM_UP + len(self.taken) * SAMPLE_SECONDS:
            return
        # Not "private": that grows when another process of the same program ends.
        self.taken.append((seconds, probes.descriptors(self.pid), probes.memory(self.pid)["rss"]))
        if len(self.taken) < 20 or len(self.taken) % 60 == 1:
            print(f"{seconds:.0f} s: {said}; {self.name}: {self.taken[-1][1]} descriptors, "
                  f"{self.taken[-1][2] / 1024:.0f} KiB", flush=True)

    def check(self, case):
        """What comes and goes leaves nothing behind."""
        if not MINUTES:
            return
        memory = slope([(at, used) for at, _, used in self.taken])
        half = len(self.taken) // 2
        descriptors = [max(count for _, count, _ in part) for part in (self.taken[:half], self.taken[half:])]
        print(f"soak, {self.name}: RSS {self.taken[0][2] / 1024:.0f} -> {self.taken[-1][2] / 1024:.0f} KiB, slope "
              f"{memory / 1024:.0f} KiB/h over {len(self.taken)} samples; at most {descriptors[0]} descriptors in the first "
              f"half, {descriptors[1]} in the second", flush=True)
        if MINUTES >= 10:  # within less, what was never used before counts
            case.assertLessEqual(memory, 1 << 20, self.name)
        case.assertLessEqual(descriptors[1], descriptors[0] + 5, self.name)
