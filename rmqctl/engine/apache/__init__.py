"""The apache engine: Apache's own nameservers and brokers, as Java processes under our supervisor.

    cache            what is fetched, and where it lies; unpacked distributions
    maven_settings   where Maven users said that artifacts come from: mirrors, proxies, credentials
    repository       one file from a Maven repository, checksum verified
    install          a version of RocketMQ with everything it needs, into the cache
    java             which `java` to use
    jvm              options of the JVM for a pair of Java and RocketMQ
    class_file       the setters of a Java class: which keys a version of RocketMQ knows
    configuration    broker.conf and nameserver.conf as a version reads them
    log_config       the logging configuration that brings logs into the node's folder
    memory           whether the machine has room for the heaps
    store_lock       whether another broker has the store
    nodes            ApacheEngine: a node of the model as files and a process
    diagnosis        why a Java node ended, in one sentence

Nothing is imported here: the supervisor and the zygote load none of it.
"""
