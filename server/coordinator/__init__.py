"""The coordinator's own machine: its folder, who is admitted, the door, and what is going on behind it."""
