"""Modules that load at their first use, each case in an interpreter that has loaded nothing yet."""

import subprocess
import sys

BEGIN = "from rmqnode.late_modules import load_late\nload_late()\nimport sys\n"


def output_of(code: str) -> str:
    command = [sys.executable, "-P", "-c", BEGIN + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_a_late_module_is_an_ordinary_one_from_its_first_use_on():
    code = (
        "import trio, ssl\n"
        "print('_ssl' in sys.modules)\n"
        "print(ssl.create_default_context().verify_mode.name, '_ssl' in sys.modules, type(ssl).__name__)\n"
        "print(sys.modules['ssl'] is ssl, ssl.__file__ == ssl.__spec__.origin)"
    )
    assert output_of(code).splitlines() == ["False", "CERT_REQUIRED True module", "True True"]


def test_names_can_be_imported_from_a_late_module():
    code = (
        "from hashlib import sha256\nimport shutil\nprint(sha256(b'').hexdigest()[:8], shutil.which('sh') is not None)"
    )
    assert output_of(code) == "e3b0c442 True"


def test_msgspec_does_without_typing_extensions_and_others_get_it():
    code = (
        "import msgspec\n"
        "print('typing_extensions' in sys.modules)\n"
        "import typing_extensions\n"
        "print(typing_extensions.Buffer.__name__)"
    )
    assert output_of(code).split() == ["False", "Buffer"]


def test_a_name_that_a_late_module_lacks_is_an_attribute_error_every_time():
    code = "import tempfile\nprint([hasattr(tempfile, 'nonsense') for _ in range(2)], tempfile.gettempdir() != '')"
    assert output_of(code) == "[False, False] True"


def test_threads_that_use_a_late_module_first_at_the_same_time_all_get_the_whole_of_it():
    code = (
        "import threading, ssl\n"
        "barrier, found = threading.Barrier(8), []\n"
        "def use():\n"
        "    barrier.wait()\n"
        "    found.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).check_hostname)\n"
        "threads = [threading.Thread(target=use) for _ in range(8)]\n"
        "[each.start() for each in threads]\n"
        "[each.join(30) for each in threads]\n"
        "print(found == [True] * 8)"
    )
    assert output_of(code) == "True"
