"""Ways of training on the same patients: federated by one strategy or another, in one place, or each hospital alone."""
