"""`python -m simulation.engines.supernode PID ADDRESS flower-supernode ARGUMENT...`: a SuperNode of a rehearsal.

It answers at once, as a hospital's does, and ends when process PID does.
"""

import sys

from flwr.supercore.app_utils import start_parent_process_monitor
from flwr.supernode.cli import flower_supernode

from client.receiving import answer_at_once


def main() -> None:
    parent, address, *sys.argv = sys.argv[1:]
    start_parent_process_monitor(int(parent))
    answer_at_once(address)
    flower_supernode()


if __name__ == "__main__":
    main()
