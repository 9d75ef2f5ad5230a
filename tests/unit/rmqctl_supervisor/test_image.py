"""What happens to the image of all nodes before it is forked: its code moves, and it is warmed up."""

import subprocess
import sys
import weakref
from collections.abc import Iterator

import trio

from rmqctl.supervisor.image.code_layout import gather_code


def outer(base: int) -> int:
    def inner(number: int) -> int:
        return base + number

    return sum(inner(each) for each in count())


def count() -> Iterator[int]:
    yield from (1, 2, 3)


def not_called() -> int:
    return 1


def referred_to() -> int:
    return 2


@trio.lowlevel.enable_ki_protection
def protected() -> bool:
    return trio.lowlevel.currently_ki_protected()


def test_code_that_ran_moves_with_the_code_in_it_and_does_the_same():
    former, former_count, former_not_called = outer.__code__, count.__code__, not_called.__code__
    results = []
    left_behind = gather_code(lambda: results.append(outer(10)))
    assert outer(10) == results[0] == 36
    assert outer.__code__ == former
    assert outer.__code__ is not former
    assert count.__code__ is not former_count
    assert not any(
        new is old for new in outer.__code__.co_consts for old in former.co_consts if hasattr(old, "co_code")
    )
    assert not_called.__code__ is former_not_called
    assert any(each is former for each in left_behind)


def test_code_that_something_refers_to_weakly_stays_where_it_is():
    former = referred_to.__code__
    reference = weakref.ref(former)
    gather_code(referred_to)
    assert referred_to.__code__ is former is reference()


def test_what_trio_protects_from_a_ctrl_c_stays_protected():
    gather_code(protected)
    assert protected()


def test_a_profiler_goes_on_after_the_move():
    def profiler(*_: object) -> None:
        """Looks at nothing."""

    former = sys.getprofile()
    sys.setprofile(profiler)
    try:
        gather_code(not_called)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(former)


def test_a_warm_up_leaves_no_thread_no_descriptor_and_no_line_in_a_log():
    code = (
        "import os, threading\n"
        "from rmqctl.supervisor.image.warm_up import warm_up\n"
        "before = os.listdir('/dev/fd')\n"
        "warm_up()\n"
        "print(os.listdir('/dev/fd') == before, threading.active_count())"
    )
    command = [sys.executable, "-P", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (result.stdout.split(), result.stderr) == (["True", "1"], "")


def test_a_proxy_of_something_that_is_gone_is_in_nobodys_way():
    gone = type("Gone", (), {})()
    proxy = weakref.proxy(gone)
    del gone
    gather_code(not_called)
    assert type(proxy) is weakref.ProxyType
