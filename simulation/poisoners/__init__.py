"""Hospitals that send forged updates: how much of the model is left under each strategy."""
