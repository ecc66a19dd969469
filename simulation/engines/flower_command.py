"""`python -m simulation.engines.flower_command PID COMMAND ARGUMENT...`: a command of Flower's.

It ends when process PID does, even if that was killed and could end nobody.
"""

import sys
from importlib.metadata import entry_points

from flwr.supercore.app_utils import start_parent_process_monitor


def main() -> None:
    parent, *sys.argv = sys.argv[1:]
    start_parent_process_monitor(int(parent))
    (command,) = entry_points(group="console_scripts", name=sys.argv[0])
    command.load()()


if __name__ == "__main__":
    main()
