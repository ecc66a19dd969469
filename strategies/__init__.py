"""How sites are combined: strategies, aggregation, and the records that travel."""
