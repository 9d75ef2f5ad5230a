"""A push consumer: a function is called for each message; what fails comes again.

Run it on a cluster that is up: `rmqctl up`, then `python examples/push.py`.
"""

import os

import trio

from rmqctl.client import Admin, Client, Earliest, Producer, PushConsumer, ReceivedMessage, Retry, TopicSpec

NAMESERVER = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")
TOPIC = "example-push"

COUNT = 10


async def main() -> None:
    async with Client(NAMESERVER) as client:
        await Admin(client).topics.create(TopicSpec(TOPIC))
        async with Producer("example-shop", client=client) as producer:
            for number in range(COUNT):
                await producer.send(f"{TOPIC}:{'paid' if number % 2 else 'refunded'}", {"order": number})

        async with PushConsumer("example-accounting", client=client, start=Earliest()) as consumer:
            done: list[int] = []

            async def handle(message: ReceivedMessage) -> Retry | None:
                order = message.json()["order"]
                if order == 7 and not message.reconsume_times:
                    return Retry(delay_level=1)  # not now: again in a second, perhaps at another member of the group
                done.append(order)
                print(f"order {order} {message.tag}")
                if len(done) == COUNT:
                    consumer.stop()  # a service would go on until it is cancelled
                return None

            await consumer.subscribe(TOPIC, tags="paid || refunded")
            await consumer.run(handle)


if __name__ == "__main__":
    trio.run(main)
