"""What holds for all tests: how hypothesis looks for examples.

`deterministic` is the default: the same examples in every run, so a failure is the change's doing and not luck's. No
deadlines and no complaint about slow data either, for both measure how busy the machine is. `exhaustive`
(`scripts/test --long`) looks further, and elsewhere each time; it prints how to reproduce what it finds.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "exhaustive",
    max_examples=1_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("deterministic")
