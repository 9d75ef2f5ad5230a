"""Asynchronous sends: many messages are on their way at once, their results come to a callback.

Run it on a cluster that is up: `rmqctl up`, then `python examples/send_async.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, ClientError, Producer, SendResult, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-async"


async def main() -> None:
    stored: list[SendResult] = []

    def done(outcome: SendResult | ClientError) -> None:
        if isinstance(outcome, ClientError):
            print(f"not sent: {outcome}")
        else:
            stored.append(outcome)

    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for number in range(1000):
                await producer.send_async(TOPIC, f"message {number}", callback=done)
            await producer.flush()  # wait for those that are still on their way
            print(f"{len(stored)} messages stored")

            # Or wait for the result of one, whenever it suits.
            pending = await producer.send_async(TOPIC, "one more")
            print(f"one more: {(await pending.result()).status}")


if __name__ == "__main__":
    trio.run(main)
