"""No exception that is kept is raised itself: each raise would add frames, and all that their variables hold, to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("node/rmqnode", "rmqctl")


def raised_and_kept(tree: ast.AST) -> Iterator[int]:
    """Lines of `raise self.x`, `raise TABLE[key]` on an attribute, and `raise NAME` of a constant of a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        raised = node.exc
        while isinstance(raised, ast.Subscript):
            raised = raised.value
        is_of_self = (
            isinstance(raised, ast.Attribute)
            and isinstance(raised.value, ast.Name)
            and raised.value.id in ("self", "cls")
        )
        is_constant = isinstance(raised, ast.Name) and raised.id.strip("_").isupper()
        if is_of_self or is_constant:
            yield node.lineno


def test_no_code_raises_an_exception_that_it_keeps(checkout: Path) -> None:
    found = [
        f"{path.relative_to(checkout)}:{line}"
        for package in PACKAGES
        for path in sorted((checkout / package).rglob("*.py"))
        for line in raised_and_kept(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == [], "raise fresh(…) of rmqnode.protocol.errors instead"


def test_the_search_finds_what_it_is_for() -> None:
    kept = "raise self._failure\nraise self._all[0]\nraise _REFUSED\n"
    source = kept + "raise fresh(self._failure)\nraise error\nraise Refused()"
    assert list(raised_and_kept(ast.parse(source))) == [1, 2, 3]
