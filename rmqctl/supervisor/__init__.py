"""Keeps the nodes of one cluster running: two processes from one preloaded image.

    launch/         the command's side of a start
      early           starts the supervisor process, before anything else is known
      launcher        hands the plan over, follows its events, lets go
      pipe            the supervisor's side of that
      ports_in_use    whether the plan's ports are free, and who has those that are not
    process         the supervisor process from its first to its last moment
    service         the life of the cluster, on trio: bring up, keep, take down; answers to commands
    nodes/
      plan            model and start specifications, as they are now
      table           state and process of every node: the thin loop around `transitions`
      transitions     what happens to a node: (state, event, now) -> (state, actions), pure
      policy          how patient the supervisor is with a node
      order           which nodes start and stop after which
      operations      what people do to single nodes: start, stop, restart, kill
      draining        clients are told to send elsewhere before a master stops
      adoption        watches nodes that another supervisor started
      orphans         (in the CLI) nodes whose supervisor is gone
    health/
      watch           looks at nodes again and again: are they ready, do they hang
      readiness       asks nodes, in RocketMQ's protocol, whether they serve
      report          what `rmqctl status` is told
      diagnosis       (in the CLI) why a node did not start, in one sentence
    control/        the Unix socket for `status`, `down` and orders
      server, client  the supervisor's end, a command's end
      feed            who hears of events
    image/          what nodes are forked from
      zygote          the single-threaded process that forks nodes and reaps them; never runs trio
      spawner         the supervisor's end of the zygote
      warm_up         what is run once before all forks, for less memory in each
      code_layout     what all nodes run lies together, for the same reason
      resuming        a fresh image of the supervisor when its zygote is gone
    files/
      record          supervisor.json: pids and start times, for whoever comes after a kill -9
      ledger          keeps events, starts and exits as JSON lines
      rotating_log    log files that do not grow for ever
    messages        what travels over pipes and sockets, as JSON lines
    node_state      what is known of a node
    exit_status     what a wait status means, in words

Nothing is imported here: the zygote and the supervisor must stay small.
"""
