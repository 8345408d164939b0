"""How many cases: a few by default, 10,000 in all with --hypothesis-profile=fuzz."""

from hypothesis import settings

settings.register_profile("fuzz", settings.get_profile("tests"))
