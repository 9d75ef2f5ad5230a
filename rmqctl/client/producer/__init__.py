"""Sending messages.

producer ─▶ send_request      message to request, answer to result; compression
─▶ pending_sends     many on their way at a time, with back-pressure
─▶ transactions      half messages, their end, what brokers ask
─▶ request_reply     request messages, and what answers them
delivery ─▶ queue_choice, fault_avoidance    which queue, which broker, what is tried again
"""

from rmqctl.client.producer.pending_sends import PendingSend
from rmqctl.client.producer.producer import Producer
from rmqctl.client.producer.transactions import HalfMessageNotSafe, Transaction, TransactionState

__all__ = ["HalfMessageNotSafe", "PendingSend", "Producer", "Transaction", "TransactionState"]
