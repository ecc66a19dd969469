"""At the coordinator: the rounds, the run folder and the report."""
