"""Faults that a federation meets, made on purpose against real processes; `make bench-faults` writes docs/faults.md."""
