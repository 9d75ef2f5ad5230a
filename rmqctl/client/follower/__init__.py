"""Reading a topic without a group: `Follower`, public through `rmqctl.client`."""
