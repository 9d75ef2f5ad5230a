"""Transactional messages: prepared, decided by their producer, and asked about while they are not.

    half_messages   the forms that a message takes on its way, each as Apache's brokers store it
    ledger          which half messages are decided, and how far everything is
    decisions       prepare, commit and roll back
    check_back      asks producers about what stays undecided, and gives up in the end

Everything is in the log: half messages in one system topic, decisions in another, so that a killed broker, a slave that
takes over and Apache's broker all go on from the same state.
"""

from rmqnode.broker.transactions.check_back import CheckBack
from rmqnode.broker.transactions.decisions import Transactions
from rmqnode.broker.transactions.ledger import TransactionLedger

__all__ = ["CheckBack", "TransactionLedger", "Transactions"]
