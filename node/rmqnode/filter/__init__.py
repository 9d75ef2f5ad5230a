"""SQL92 filters: the text of a subscription becomes a function that says which messages it wants.

Bytes and values only: no network, no files, no clock. `grammar` reads the text, `expressions` and `comparisons` give
it RocketMQ's meaning, `bloom` says which bits of Apache's bloom filter belong to a subscription. The parser's library
is imported with the first filter: a broker without any has neither its memory nor its start-up time.

    wants = compile_filter("region = 'EU' AND price BETWEEN 10 AND 20")
    wants({"region": "EU", "price": "12"})        # True
"""

from rmqnode.filter.bloom import BloomFilter
from rmqnode.filter.compiled import LENGTH_MAX, MessageFilter, compile_filter, load_parser
from rmqnode.filter.errors import EvaluationFailed, FilterError, InvalidExpression, UnknownExpressionType

__all__ = [
    "LENGTH_MAX",
    "BloomFilter",
    "EvaluationFailed",
    "FilterError",
    "InvalidExpression",
    "MessageFilter",
    "UnknownExpressionType",
    "compile_filter",
    "load_parser",
]
