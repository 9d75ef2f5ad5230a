"""Request and reply: a call over a topic, answered by whichever consumer gets it. Apache's brokers need 4.6 for it.

Run it on a cluster that is up: `rmqctl up`, then `python examples/request_reply.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Producer, PushConsumer, ReceivedMessage, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-prices"
PRICES = {"apple": 3, "pear": 4, "plum": 5}


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with (
            Producer("example-desk", client=client) as desk,
            Producer("example-pricing", client=client) as pricing,
            PushConsumer("example-pricing", client=client) as consumer,
            trio.open_nursery() as nursery,
        ):

            async def handle(request: ReceivedMessage) -> None:
                await pricing.reply(request, {"price": PRICES[request.text]})

            await consumer.subscribe(TOPIC)
            await nursery.start(consumer.run, handle)
            for fruit in PRICES:
                reply = await desk.request(TOPIC, fruit, timeout_seconds=10)
                print(f"{fruit}: {reply.json()['price']}")
            consumer.stop()


if __name__ == "__main__":
    trio.run(main)
