"""Modules that a node's libraries import and a node hardly ever uses: each is loaded by the first use of it.

trio imports `ssl` and `hmac` for streams that a node does not speak; they bring OpenSSL, 4 MiB of every cluster. The
others cost a tenth of all that is imported. Nothing is left out: whoever looks up the first name in such a module
gets it loaded there and then.

Not `importlib.util.LazyLoader`: before Python 3.13 a second `import` statement loads its modules, and two threads that
are first at the same time see half of one.
"""

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any, Final

_SELDOM_USED: Final = (
    "difflib",  # our own checks, for the nearest known key
    "hashlib",  # hmac; of rmqctl, for the short names of long paths
    "hmac",  # trio, for DTLS
    "locale",  # subprocess, for its text mode
    "ntpath",  # pathlib, for Windows
    "shutil",  # ctypes, on systems without a list of shared libraries
    "ssl",  # trio, for TLS
    "tempfile",  # ctypes, likewise
    "tokenize",  # linecache, for lines of source in tracebacks; those lack the lines when it can't be loaded
)
"""No packages: who imports a module of one first would get it without what the package executes. And nothing that only
errors need and can't do without: a process without free descriptors could not load it any more."""

_UNNEEDED: Final = "typing_extensions"
"""msgspec takes from it, where it is installed, what `typing` of Python 3.11 has as well: 0.7 MiB of every cluster."""

_PENDING: Final = "__pending__"

_LOADING: Final = threading.RLock()


class _LateModule(ModuleType):
    """A module that was found and not executed yet; becomes an ordinary one when it is."""

    def __getattr__(self, attribute: str) -> Any:
        # Only names that are not there get here: what the import system set does not load anything.
        with _LOADING:
            if self.__dict__.pop(_PENDING, False):
                try:
                    self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
                except BaseException:
                    self.__dict__[_PENDING] = True
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]
        return ModuleType.__getattribute__(self, attribute)


def load_late() -> None:
    """Let the modules that are seldom used wait for their first use. Call it before trio is imported."""
    for name in _SELDOM_USED:
        if name not in sys.modules:
            _put_off(name)
    if _UNNEEDED not in sys.modules:
        # None makes an import fail; for msgspec alone, whoever else wants it gets it.
        sys.modules[_UNNEEDED] = None  # type: ignore[assignment]
        try:
            importlib.import_module("msgspec")
        finally:
            del sys.modules[_UNNEEDED]


def _put_off(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        # Not in this Python, as ssl may be: whoever imports it finds out in the usual way.
        return
    module = _LateModule(name)
    module.__dict__.update(importlib.util.module_from_spec(spec).__dict__)
    module.__dict__[_PENDING] = True
    sys.modules[name] = module
