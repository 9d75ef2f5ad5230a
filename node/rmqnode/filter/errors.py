"""What can be wrong with a filter: its text, or a message's property that cannot be compared as it asks."""


class FilterError(Exception):
    """Base of the errors of this package."""


class InvalidExpression(FilterError):
    """A text that is no filter. `line` and `column` count from 1, as in Apache's messages."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        self.problem = problem
        self.line = line
        self.column = column
        super().__init__(f"invalid SQL92 expression at line {line}, column {column}: {problem}")


class UnknownExpressionType(FilterError):
    """A language of filters that RocketMQ does not have."""

    def __init__(self, expression_type: str) -> None:
        self.expression_type = expression_type
        super().__init__(f"unknown expression type {expression_type!r}: there are TAG and SQL92")


class EvaluationFailed(FilterError):
    """A comparison has no answer for this message, such as of a text with a number: the message does not match."""
