"""Every custom header that there is."""

import inspect

from rmqnode.protocol import headers
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.headers import administration

HEADER_TYPES = [
    each
    for module in (headers, administration)
    for _, each in inspect.getmembers(module, inspect.isclass)
    if issubclass(each, Header) and each is not Header
]
