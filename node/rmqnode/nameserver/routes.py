"""The table of requests of a nameserver: all of 4.5.2, what 4.9.7 and 5.3 clients need (327), its figures (28)."""

from rmqnode.nameserver import handlers
from rmqnode.protocol import headers
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.routes import Route

ROUTES: tuple[Route, ...] = (
    Route(RequestCode.PUT_KV_CONFIG, headers.PutKVConfigRequestHeader, None, handlers.put_kv_config),
    Route(
        RequestCode.GET_KV_CONFIG,
        headers.GetKVConfigRequestHeader,
        headers.GetKVConfigResponseHeader,
        handlers.get_kv_config,
    ),
    Route(RequestCode.DELETE_KV_CONFIG, headers.DeleteKVConfigRequestHeader, None, handlers.delete_kv_config),
    Route(
        RequestCode.REGISTER_BROKER,
        headers.RegisterBrokerRequestHeader,
        headers.RegisterBrokerResponseHeader,
        handlers.register_broker,
    ),
    Route(RequestCode.UNREGISTER_BROKER, headers.UnregisterBrokerRequestHeader, None, handlers.unregister_broker),
    Route(
        RequestCode.GET_ROUTEINTO_BY_TOPIC, headers.GetRouteInfoRequestHeader, None, handlers.get_route_info_by_topic
    ),
    Route(RequestCode.GET_BROKER_CLUSTER_INFO, headers.NoHeader, None, handlers.get_broker_cluster_info),
    Route(
        RequestCode.WIPE_WRITE_PERM_OF_BROKER,
        headers.WipeWritePermOfBrokerRequestHeader,
        headers.WipeWritePermOfBrokerResponseHeader,
        handlers.wipe_write_perm_of_broker,
    ),
    Route(
        RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
        headers.NoHeader,
        None,
        handlers.get_all_topic_list_from_nameserver,
    ),
    Route(
        RequestCode.DELETE_TOPIC_IN_NAMESRV,
        headers.DeleteTopicInNamesrvRequestHeader,
        None,
        handlers.delete_topic_in_namesrv,
    ),
    Route(
        RequestCode.GET_KVLIST_BY_NAMESPACE,
        headers.GetKVListByNamespaceRequestHeader,
        None,
        handlers.get_kvlist_by_namespace,
    ),
    Route(
        RequestCode.GET_TOPICS_BY_CLUSTER,
        headers.GetTopicsByClusterRequestHeader,
        None,
        handlers.get_topics_by_cluster,
    ),
    Route(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, headers.NoHeader, None, handlers.get_system_topic_list_from_ns),
    Route(RequestCode.GET_UNIT_TOPIC_LIST, headers.NoHeader, None, handlers.get_unit_topic_list),
    Route(RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, headers.NoHeader, None, handlers.get_has_unit_sub_topic_list),
    Route(
        RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
        headers.NoHeader,
        None,
        handlers.get_has_unit_sub_ununit_topic_list,
    ),
    Route(RequestCode.UPDATE_NAMESRV_CONFIG, headers.NoHeader, None, handlers.update_namesrv_config),
    Route(RequestCode.GET_NAMESRV_CONFIG, headers.NoHeader, None, handlers.get_namesrv_config),
    Route(RequestCode.GET_BROKER_RUNTIME_INFO, headers.NoHeader, None, handlers.get_runtime_info),
    Route(
        RequestCode.QUERY_DATA_VERSION,
        headers.QueryDataVersionRequestHeader,
        headers.QueryDataVersionResponseHeader,
        handlers.query_data_version,
    ),
    Route(
        RequestCode.ADD_WRITE_PERM_OF_BROKER,
        headers.WipeWritePermOfBrokerRequestHeader,
        headers.AddWritePermOfBrokerResponseHeader,
        handlers.add_write_perm_of_broker,
    ),
)
"""Every request code that a nameserver answers; any other gets REQUEST_CODE_NOT_SUPPORTED (3)."""
