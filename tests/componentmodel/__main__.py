"""What `tests/unit/test_fake_host.py` runs, each in an instance of its own:

python -m tests.componentmodel NAME            a case of `tests.componentmodel.cases`
python -m tests.componentmodel FIRST COUNT     the mixes of so many seeds, up to the third that fails
"""

from __future__ import annotations

import sys

from tests.componentmodel import cases, mixes
from tests.componentmodel.entry import apart


def main(name: str, count: str = "") -> None:
    if not count:
        sys.exit(apart(getattr(cases, name)) or 0)
    failures: list[str] = []
    for seed in range(int(name), int(name) + int(count)):
        if failure := apart(mixes.play, seed):
            failures.append(f"seed {seed}: {failure}Replay it: SEED={seed}")
            if len(failures) == 3:
                break
    sys.exit("\n".join(failures) or 0)


main(*sys.argv[1:])
