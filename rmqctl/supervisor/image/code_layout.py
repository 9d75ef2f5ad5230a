"""Moves the code that every node runs together, so that running it copies few pages of the forked image.

Calling a function counts a reference in its code object: a write, and after a fork the copy of a whole page. As
imported, what nodes run lies scattered among ten times as much that they don't: for 700 functions a node copies 500
pages. Copies of the code objects, made one after the other, lie side by side. Behaviour stays the same: a function
gets a code object that is equal.
"""

import gc
import sys
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from weakref import getweakrefcount


def gather_code(run: Callable[[], None]) -> list[CodeType]:
    """Call `run` and move all code that ran. To be called before threads start, and before a last warm-up.

    Returns:
        The former code objects. Keep them: in the holes that they leave, nodes would put what is new, scattered again.
    """
    ran = _code_run_by(run)
    moved: dict[int, CodeType] = {}
    # Not a walk through modules and classes: decorators hide functions in closures. And not `isinstance`, which asks
    # a dead proxy for its class.
    for function in [each for each in gc.get_objects() if type(each) is FunctionType and id(each.__code__) in ran]:
        function.__code__ = _moved(function.__code__, ran, moved)
    return list(ran.values())


def _code_run_by(run: Callable[[], None]) -> dict[int, CodeType]:
    """Code by its id; that of nested functions too, which their makers keep as constants."""
    ran: dict[int, CodeType] = {}

    def note(frame: FrameType, _event: str, _argument: object) -> None:
        ran[id(frame.f_code)] = frame.f_code

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(former)
    # Whom something refers to weakly is known by identity: so trio remembers which code a Ctrl-C may not interrupt.
    return {key: code for key, code in ran.items() if not getweakrefcount(code)}


def _moved(code: CodeType, ran: dict[int, CodeType], moved: dict[int, CodeType]) -> CodeType:
    if id(code) not in ran:
        return code
    if id(code) not in moved:
        constants = tuple([_moved(each, ran, moved) if isinstance(each, CodeType) else each for each in code.co_consts])
        moved[id(code)] = code.replace(co_consts=constants)
    return moved[id(code)]
