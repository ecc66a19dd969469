"""`python -m simulation.engines.flower_command PID COMMAND ARGUMENT...`: a command of Flower's.

It ends when process PID does, even if that was killed and could end nobody.
"""

import signal
import sys
from importlib.metadata import entry_points

from flwr.supercore.app_utils import start_parent_process_monitor

from server.orphan import outlive


def main() -> None:
    parent, *sys.argv = sys.argv[1:]
    end_with(int(parent))
    (command,) = entry_points(group="console_scripts", name=sys.argv[0])
    command.load()()


def end_with(parent: int) -> None:
    """By Flower's watch, which raises SIGINT; where that does not end what is half started, by ours."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process would ignore it
    start_parent_process_monitor(parent)
    outlive(parent)


if __name__ == "__main__":
    main()
