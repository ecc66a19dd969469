"""Measurements. Never tests: a time is not right or wrong."""
