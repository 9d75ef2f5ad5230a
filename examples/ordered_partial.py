"""Partial order: messages with one key are consumed in the order they were sent, keys side by side.

Run it on a cluster that is up: `rmqctl up`, then `python examples/ordered_partial.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PushConsumer, ReceivedMessage, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-partial-order"

ORDERS = range(3)
STEPS = ("created", "paid", "shipped")


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for step in STEPS:
                for order in ORDERS:
                    await producer.send(TOPIC, {"order": order, "step": step}, order_key=order)

        async with PushConsumer("example-shipping", client=client, orderly=True, start=Earliest()) as consumer:
            seen: list[str] = []

            async def handle(message: ReceivedMessage) -> None:
                event = message.json()
                seen.append(f"order {event['order']} {event['step']}")
                print(seen[-1])
                if len(seen) == len(ORDERS) * len(STEPS):
                    consumer.stop()

            await consumer.subscribe(TOPIC)
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
