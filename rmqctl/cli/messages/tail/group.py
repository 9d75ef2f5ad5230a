"""`rmqctl tail --group`: consume as a member of a consumer group, and print what this member gets.

A printed message is consumed: its offset is kept at the brokers, and other members do not get it. Every member of a
group must want the same, so what is printed can't be chosen here beyond the topic and its tags or expression.
"""

from collections.abc import Callable

import trio

from rmqctl.cli.messages.tail.ending import ended_from_outside
from rmqctl.client.client import Client
from rmqctl.client.consumer import PushConsumer, ReceivedMessage
from rmqctl.client.follower.follower import Delivered
from rmqctl.client.names import Subscription
from rmqctl.client.start_position import StartPosition

_CLOSE_SECONDS = 0.2
"""Printing a message takes no time; one that is not to be printed any more waits for this."""


async def print_as_member(
    client: Client,
    group: str,
    subscription: Subscription,
    start: StartPosition,
    count: int | None,
    print_message: Callable[[list[Delivered]], None],
) -> None:
    """Print messages until enough of them were printed, or the command is ended from outside.

    Args:
        client: Open.
        group: Of which this is a member meanwhile.
        subscription: What all its members want.
        start: Where queues are entered that the group has no offset for.
        count: How many messages are enough.
        print_message: Returns once the message can't be lost any more.
    """
    printed = 0
    async with PushConsumer(group, client=client, start=start, concurrency=1, close_seconds=_CLOSE_SECONDS) as consumer:

        async def handle(message: ReceivedMessage) -> None:
            nonlocal printed
            if count is not None and printed >= count:
                # It was handed out already, but is not wanted: unconsumed, it comes again to whoever is next.
                await trio.sleep_forever()
            try:
                print_message([(message.queue, message.stored)])
            except BrokenPipeError:
                # Whoever read stdout has gone: this message goes to the next member.
                consumer.stop()
                await trio.sleep_forever()
            printed += 1
            if printed == count:
                consumer.stop()

        await consumer.subscribe(subscription.topic, subscription.tags or None, sql=subscription.sql)
        with ended_from_outside():
            await consumer.run(handle)
