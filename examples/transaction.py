"""Transactional messages: consumers get them only if the producer's own transaction is done.

Run it on a cluster that is up: `rmqctl up`, then `python examples/transaction.py`.
"""

import os

import trio

from rmqctl.client import (
    Admin,
    Client,
    Earliest,
    Producer,
    PushConsumer,
    ReceivedMessage,
    TopicSpec,
    TransactionState,
)

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-transaction"

database: dict[str, str] = {}
"""Stands for the database in which orders are booked."""


async def check(half: ReceivedMessage) -> TransactionState:
    """Answer a broker that asks what became of a transaction, such as after a crash of the producer."""
    return TransactionState.COMMIT if half.text in database else TransactionState.ROLLBACK


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-booking", client=client, check_transaction=check) as producer:
            async with producer.transaction(TOPIC, "order 1"):
                database["order 1"] = "booked"  # the message is delivered when the block has ended
            async with producer.transaction(TOPIC, "order 2") as transaction:
                transaction.roll_back()  # sold out: nobody gets the message
            async with producer.transaction(TOPIC, "order 3"):
                database["order 3"] = "booked"

        async with PushConsumer("example-delivery", client=client, start=Earliest()) as consumer:
            seen: list[str] = []

            async def handle(message: ReceivedMessage) -> None:
                seen.append(message.text)
                print(f"{message.text}: {database[message.text]}")
                if len(seen) == 2:
                    consumer.stop()

            await consumer.subscribe(TOPIC)
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
