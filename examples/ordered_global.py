"""Global order: a topic with one queue is consumed in the order it was sent, as a whole.

Run it on a cluster that is up: `rmqctl up`, then `python examples/ordered_global.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PushConsumer, ReceivedMessage, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-global-order"

COUNT = 10


async def main() -> None:
    async with Client(NAMESERVER) as client:
        admin = Admin(client)
        broker = min((await admin.topology()).masters_of("all"))  # one queue: on one broker
        await admin.topics.create(TopicSpec(TOPIC, read_queues=1, write_queues=1), broker=broker)
        async with Producer("example-ledger", client=client) as producer:
            for number in range(COUNT):
                await producer.send(TOPIC, f"entry {number}")

        async with PushConsumer("example-audit", client=client, orderly=True, start=Earliest()) as consumer:
            seen: list[str] = []

            async def handle(message: ReceivedMessage) -> None:
                seen.append(message.text)
                print(message.text)
                if len(seen) == COUNT:
                    consumer.stop()

            await consumer.subscribe(TOPIC)
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
