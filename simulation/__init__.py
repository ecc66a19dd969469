"""Many hospitals on one machine: synthetic heads, partitions and the local engine."""
