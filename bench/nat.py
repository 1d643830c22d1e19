"""How long it takes two nodes behind NATs to go direct, for each pair of classes: `bench/nat.py --json`.

The figures are those of `pulse lab matrix`; here they are the rows of docs/reference/paths.md.
"""

import argparse

from pulse.lab.matrix import Matrix, measure
from rig import main


def worded(result: Matrix) -> str:
    """The rows of docs/reference/paths.md."""
    rows = ["| one | other | ends with | direct after |", "|---|---|---|---|"]
    for each in result.pairs:
        after = "-" if each.direct_s is None else f"{each.direct_s:.3f} s"
        rows.append(f"| {each.one} | {each.other} | {each.link} | {after} |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser, lambda options: measure(options.rounds, lambda _: None), worded)
