"""Values of keys that are secrets are never shown: in answers, notices, logs and on terminals they are `***`."""

import re
from collections.abc import Mapping
from typing import Final

MASK: Final = "***"

_SECRET: Final = re.compile(r"(?i)secret|password|credential|initAuthenticationUser")


def is_secret(key: str) -> bool:
    """Whether the value of a key must not be shown."""
    return _SECRET.search(key) is not None


def masked(key: str, value: str) -> str:
    """The value as it may be shown."""
    return MASK if value and is_secret(key) else value


def masked_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Key → value as it may be shown."""
    return {key: masked(key, value) for key, value in properties.items()}
