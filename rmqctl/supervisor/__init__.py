"""Keeps the nodes of one cluster running: two processes from one preloaded image.

    launcher    (in the CLI) starts the supervisor early, hands the plan over, follows its events
    service     the supervisor process: owns policy, runs on trio
    zygote      the single-threaded process that forks nodes and reaps them; never runs trio
    spawner     the supervisor's end of the zygote
    states      what happens to a node: (state, event, now) -> (state, actions), pure
    order       which nodes start and stop after which
    readiness   asks nodes, in RocketMQ's protocol, whether they serve
    control     the Unix socket for `status` and `down`; both ends
    messages    what travels over pipes and sockets, as JSON lines
    record      supervisor.json: pids and start times, for whoever comes after a kill -9
    orphans     (in the CLI) nodes whose supervisor is gone
    diagnosis   (in the CLI) why a node did not start, in one sentence

Nothing is imported here: the zygote and the supervisor must stay small.
"""
