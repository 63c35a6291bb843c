"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long a value takes to be made says something of the machine, and nothing of the product.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")
