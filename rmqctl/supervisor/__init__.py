"""Keeps the nodes of one cluster running: two processes from one preloaded image.

    early       (in the CLI) starts the supervisor process, before anything else is known
    launcher    (in the CLI) hands the plan over, follows its events, lets go
    process     the supervisor process from its first to its last moment
    service     the life of the cluster, on trio: bring up, keep, take down; answers to commands
    plan        model and start specifications, as they are now
    nodes       state and process of every node: the thin loop around `states`
    operations  what people do to single nodes: start, stop, restart, kill
    draining    clients are told to send elsewhere before a master stops
    health      looks at nodes again and again: are they ready, do they hang
    report      what `rmqctl status` is told
    feed        who hears of events
    ledger      keeps events, starts and exits as JSON lines
    rotating_log  log files that do not grow for ever
    zygote      the single-threaded process that forks nodes and reaps them; never runs trio
    warm_up     what is run once before all forks, for less memory in each
    code_layout what all nodes run lies together, for the same reason
    spawner     the supervisor's end of the zygote
    policy      how patient the supervisor is with a node
    states      what happens to a node: (state, event, now) -> (state, actions), pure
    order       which nodes start and stop after which
    readiness   asks nodes, in RocketMQ's protocol, whether they serve
    control_*   the Unix socket for `status` and `down`: the supervisor's end, a command's end
    messages    what travels over pipes and sockets, as JSON lines
    record      supervisor.json: pids and start times, for whoever comes after a kill -9
    orphans     (in the CLI) nodes whose supervisor is gone
    adoption    watches nodes that another supervisor started
    resuming    a fresh image of the supervisor when its zygote is gone
    exit_status what a wait status means, in words
    diagnosis   (in the CLI) why a node did not start, in one sentence

Nothing is imported here: the zygote and the supervisor must stay small.
"""
