"""`python -m simulation.engines.supernode PID ADDRESS flower-supernode ARGUMENT...`: a SuperNode of a rehearsal.

It answers at once, as a hospital's does, and ends when process PID does.
"""

import sys

from flwr.supernode.cli import flower_supernode

from client.receiving import answer_at_once
from simulation.engines.flower_command import end_with


def main() -> None:
    parent, address, *sys.argv = sys.argv[1:]
    end_with(int(parent))
    answer_at_once(address)
    flower_supernode()


if __name__ == "__main__":
    main()
