"""Measures the service on this machine, beside what the machine itself can do."""
