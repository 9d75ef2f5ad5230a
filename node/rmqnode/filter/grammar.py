"""The text of a filter becomes an expression: tokens, grammar, and the place of what is wrong.

Two things follow Apache's parser although nobody would ask for them. Text behind a complete expression is ignored,
`a = 1 b` is `a = 1`, as long as its first word is a word at all and could not continue the expression. And NOT
binds tighter than any comparison: `NOT a = 1` compares `NOT a` with 1.

Nothing recurses here: the parser keeps its own stack, and expressions are built from their parts upwards.

Source: `SelectorParser.jj`, `SelectorParser` (RocketMQ 4.5.2). Differs: nesting, the number of words and signs, and the
length of a comment up to the end of its line (1000 characters) are bounded.
"""

from functools import lru_cache
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args
from lark.parsers.lalr_interactive_parser import InteractiveParser

from rmqnode.filter import comparisons, expressions
from rmqnode.filter.errors import InvalidExpression
from rmqnode.filter.expressions import Expression, Unsuitable

TOKENS_MAX: Final = 768
"""Words, constants and signs of an expression: each takes 10 to 20 us of the broker's only thread."""

_KEYWORDS: Final = frozenset({"NOT", "AND", "OR", "BETWEEN", "IN", "TRUE", "FALSE", "NULL", "IS"})

_GRAMMAR: Final = r"""
start: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: equality (_AND equality)*
?equality: comparison
    | equality EQUALITY comparison          -> equality
    | equality IS NULL                      -> is_null
    | equality IS NOT NULL                  -> is_not_null
?comparison: unary
    | comparison ORDER unary                -> order
    | comparison BETWEEN unary _AND unary   -> between
    | comparison NOT BETWEEN unary _AND unary -> not_between
    | comparison IN _texts                  -> is_in
    | comparison NOT IN _texts              -> not_in
?unary: primary
    | "+" unary
    | MINUS unary                           -> negative
    | NOT unary                             -> negation
?primary: "(" disjunction ")"
    | STRING                                -> text
    | DECIMAL                               -> integer
    | FLOAT                                 -> float
    | TRUE                                  -> true
    | FALSE                                 -> false
    | NULL                                  -> null
    | ID                                    -> property
_texts: "(" STRING ("," STRING)* ")"

%declare NOT _AND _OR BETWEEN IN TRUE FALSE NULL IS

ID: /[A-Za-z_$][A-Za-z0-9_$]*/
STRING: /'(?:''|[^'])*'/
FLOAT.1: /(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+/
DECIMAL: /0|[1-9][0-9]*[lL]?/
EQUALITY.1: /<>|=/
ORDER: /[<>]=?/
MINUS: "-"

LINE_COMMENT.1: /--[^\n\r]{0,1000}+(?:\r\n|\r|\n)/
BLOCK_COMMENT.1: /\/\*[^*]*\*(?:\*|[^*\/][^*]*\*)*\//
BLANKS: /[ \t\n\r\f]+/
%ignore LINE_COMMENT
%ignore BLOCK_COMMENT
%ignore BLANKS
"""

_OPERANDS: Final = frozenset({"ID", "STRING", "DECIMAL", "FLOAT", "TRUE", "FALSE", "NULL", "LPAR"})
_WORDS: Final = {
    "COMMA": "','",
    "EQUALITY": "'=', '<>'",
    "ID": "a property",
    "LPAR": "'('",
    "ORDER": "'<', '<=', '>', '>='",
    "RPAR": "')'",
    "STRING": "a text in quotes",
    "_AND": "AND",
    "_OR": "OR",
}
"""Tokens as a message calls them; the others by their own names."""

_UNSAID: Final = frozenset({"PLUS", "MINUS", "NOT", "$END"})
"""Tokens that an error does not offer when there are others."""


def load() -> None:
    """Make the parser, which takes 100 ms; in a worker thread it keeps nobody waiting for long."""
    _parser()


def parse(text: str) -> Expression:
    """Read an expression; what stands behind it is ignored as by Apache.

    Raises:
        InvalidExpression: Names the problem and its place.
    """
    parser = _parser().parse_interactive(text)
    try:
        return _parse(parser)
    except UnexpectedCharacters as error:
        word = "a text in quotes that does not end" if error.char == "'" else f"unexpected {error.char!r}"
        raise InvalidExpression(word, error.line, error.column) from None


def _parse(parser: InteractiveParser) -> Expression:
    last = Token("$START", "", line=1, column=1, end_line=1, end_column=1)
    try:
        for number, token in enumerate(parser.iter_parse(), 1):
            last = token
            if number > TOKENS_MAX:
                raise _invalid(f"the expression has more than {TOKENS_MAX} words and signs", last)
    except UnexpectedToken as error:
        return _end(parser, last, _unexpected(last, error))
    except Unsuitable as error:
        raise _invalid(str(error), last) from None
    return _end(parser, last, None)


def _end(parser: InteractiveParser, last: Token, problem: InvalidExpression | None) -> Expression:
    """Take what was read as the whole expression if it is one; else `problem`, or that it ends too early."""
    end = Token.new_borrow_pos("$END", "", last)
    try:
        expression = parser.feed_token(end)
    except UnexpectedToken as error:
        if problem is not None:
            raise problem from None
        at = (last.end_line or 1, last.end_column or 1)
        raise InvalidExpression(f"the expression ends too early{_expected(error)}", *at) from None
    except Unsuitable as error:
        raise _invalid(str(error), last) from None
    assert isinstance(expression, Expression)
    return expression


def _unexpected(token: Token, error: UnexpectedToken) -> InvalidExpression:
    return _invalid(f"unexpected {str(token)[:40]!r}{_expected(error)}", token)


def _expected(error: UnexpectedToken) -> str:
    names = set(error.expected)
    words = []
    if names >= _OPERANDS:
        names -= _OPERANDS
        words = ["a property", "a constant", "'('"]
    words += sorted(_WORDS.get(name, name) for name in names - _UNSAID)
    return f", expected {', '.join(words)}" if words else ""


def _invalid(problem: str, token: Token) -> InvalidExpression:
    return InvalidExpression(problem, token.line or 1, token.column or 1)


def _keyword(token: Token) -> Token:
    """A word that is a keyword, in whatever case, gets its own token type."""
    word = token.upper()
    if word in _KEYWORDS:
        token.type = f"_{word}" if word in ("AND", "OR") else word
    return token


@v_args(inline=True)
class _Builder(Transformer[Token, Expression]):
    """Makes an expression of each rule as soon as the parser has its parts."""

    def start(self, expression: Expression) -> Expression:
        return expressions.condition(expression)

    def disjunction(self, *parts: Expression) -> Expression:
        return expressions.disjunction(parts)

    def conjunction(self, *parts: Expression) -> Expression:
        return expressions.conjunction(parts)

    def equality(self, left: Expression, sign: Token, right: Expression) -> Expression:
        return comparisons.equal(left, right) if sign == "=" else comparisons.not_equal(left, right)

    def is_null(self, operand: Expression, *_: Token) -> Expression:
        return comparisons.is_null(operand)

    def is_not_null(self, operand: Expression, *_: Token) -> Expression:
        return comparisons.is_not_null(operand)

    def order(self, left: Expression, sign: Token, right: Expression) -> Expression:
        return comparisons.ordered(left, str(sign), right)

    def between(self, operand: Expression, _: Token, low: Expression, high: Expression) -> Expression:
        return comparisons.between(operand, low, high)

    def not_between(self, operand: Expression, _n: Token, _b: Token, low: Expression, high: Expression) -> Expression:
        return comparisons.not_between(operand, low, high)

    def is_in(self, operand: Expression, _: Token, *texts: Token) -> Expression:
        return comparisons.is_in(operand, [_unquoted(text) for text in texts], is_negated=False)

    def not_in(self, operand: Expression, _n: Token, _i: Token, *texts: Token) -> Expression:
        return comparisons.is_in(operand, [_unquoted(text) for text in texts], is_negated=True)

    def negative(self, _: Token, operand: Expression) -> Expression:
        return expressions.negative(operand)

    def negation(self, _: Token, operand: Expression) -> Expression:
        return expressions.negation(operand)

    def text(self, token: Token) -> Expression:
        return expressions.text_constant(_unquoted(token))

    def integer(self, token: Token) -> Expression:
        return expressions.integer_constant(str(token))

    def float(self, token: Token) -> Expression:
        return expressions.float_constant(str(token))

    def true(self, _: Token) -> Expression:
        return expressions.boolean_constant(True)

    def false(self, _: Token) -> Expression:
        return expressions.boolean_constant(False)

    def null(self, _: Token) -> Expression:
        return expressions.boolean_constant(None)

    def property(self, token: Token) -> Expression:
        return expressions.property_of_message(str(token))


def _unquoted(token: Token) -> str:
    return token[1:-1].replace("''", "'")


@lru_cache(maxsize=1)
def _parser() -> Lark:
    callbacks: dict[str, Any] = {"ID": _keyword}
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder(), lexer_callbacks=callbacks)
