"""Whole flows through a live service: what the language promises, seen from outside."""
