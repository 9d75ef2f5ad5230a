"""From a profile in TOML to the cluster model: typed, checked and resolved before anything is written or started.

    schema    what a profile may say, and errors that name the key path
    library   the profiles that come with rmqctl, and those given by path
    settings  `--set [NODE:]key=value`, and which nodes a setting reaches
    ports     the port plan
    resolve   profile + settings + address + ports -> ClusterModel
    model     ClusterModel and Node
    stored    cluster.toml in the cluster home
    changes   what differs between two models, in words

Nothing is imported here: each command pays only for the modules that it needs.
"""
