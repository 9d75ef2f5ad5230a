"""Property tests of the codecs run without a deadline per example: the machine may be busy."""

from hypothesis import settings

settings.register_profile("codecs", deadline=None)
settings.load_profile("codecs")
