"""How a request is refused that would make a node keep too much: the answer names the limit."""

from typing import Final

from rmqnode.net.budgets import Budget
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode

NAME_LENGTH_MAX: Final = 255
"""Characters of a name that a client makes a node keep: of a group, a topic, a client, a broker, a key."""


def full_error(budget: Budget, what: str) -> RequestError:
    """What a client is told whose request would go beyond a limit."""
    remark = f"{what} refused: no more than {budget.maximum} are kept ({budget.name}Max)"
    return RequestError(ResponseCode.SYSTEM_ERROR, remark)


def refuse_beyond(budget: Budget, present: int, added: int, what: str) -> None:
    """Refuse a request that would let a table grow beyond its limit.

    Raises:
        RequestError: Names the limit.
    """
    if added > 0 and present + added > budget.maximum:
        budget.refuse()
        raise full_error(budget, what)


def check_names(what: str, *names: str | None) -> None:
    """Refuse names that are too long to be kept.

    Raises:
        RequestError: Names the limit.
    """
    for name in names:
        if name is not None and len(name) > NAME_LENGTH_MAX:
            remark = f"{what} of {len(name)} characters refused: the longest has {NAME_LENGTH_MAX}"
            raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
