"""Keeps the nodes of one cluster running: two processes from one preloaded image.

    early       (in the CLI) starts the supervisor process, before anything else is known
    launcher    (in the CLI) hands the plan over, follows its events, lets go
    process     the supervisor process from its first to its last moment
    service     its policy, on trio: start order, readiness, restarts, stop order
    nodes       state and process of every node: the thin loop around `states`
    feed        who hears of events
    zygote      the single-threaded process that forks nodes and reaps them; never runs trio
    warm_up     what is run once before all forks, for less memory in each
    spawner     the supervisor's end of the zygote
    states      what happens to a node: (state, event, now) -> (state, actions), pure
    order       which nodes start and stop after which
    readiness   asks nodes, in RocketMQ's protocol, whether they serve
    control_*   the Unix socket for `status` and `down`: the supervisor's end, a command's end
    messages    what travels over pipes and sockets, as JSON lines
    record      supervisor.json: pids and start times, for whoever comes after a kill -9
    orphans     (in the CLI) nodes whose supervisor is gone
    exit_status what a wait status means, in words
    diagnosis   (in the CLI) why a node did not start, in one sentence

Nothing is imported here: the zygote and the supervisor must stay small.
"""
