"""No test fails because the machine is busy."""

from hypothesis import HealthCheck, settings

import kernels.launching  # noqa: F401  # before anything imports Triton

settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")
