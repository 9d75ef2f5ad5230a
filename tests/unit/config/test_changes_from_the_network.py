"""What tools may change over the network: the list of keys, held against published holes and the documentation."""

from pathlib import Path

import pytest

from rmqnode.config import NodeKind
from rmqnode.config.key_table import is_dangerous, key_table
from rmqnode.config.setting import AT_ONCE, AT_RESTART, NEVER

DOCUMENT = Path(__file__).parents[3] / "docs" / "administration.md"
NODES: tuple[NodeKind, NodeKind] = ("broker", "nameserver")

NEVER_FROM_THE_NETWORK = """
    storePathRootDir storePathCommitLog storePathConsumeQueue storePathIndex readOnlyCommitLogStorePaths
    namesrvAddr brokerIP1 brokerIP2 haMasterAddress bindAddress
    brokerName brokerClusterName brokerId brokerRole listenPort haListenPort
    filterServerNums messageStorePlugIn transactionalMessageCheckListenerClass
    aclEnable authenticationEnabled authenticationProvider authenticationWhitelist authorizationEnabled
    authorizationStrategy initAuthenticationUser innerClientAuthenticationCredentials
    tls.enable tls.server.mode tls.server.keyPassword tls.config.file useTLS
    configBlackList brokerConfigPath configStorePath kvConfigPath rocketmqHome
    sendThreadPoolQueueCapacity sendMessageThreadPoolNums pullThreadPoolQueueCapacity
    mappedFileSizeCommitLog mappedFileSizeConsumeQueue mapedFileSizeCommitLog maxHashSlotNum maxIndexNum
    serverSocketSndBufSize serverSocketBacklog objectStoreSecretKey authConfigPath storePathEpochFile
    tieredBackendServiceProvider enableDLegerCommitLog enableControllerMode transientStorePoolEnable
"""
"""Keys that make a node of Apache's write anywhere, run code, drop its protection, move its traffic or not start again
(CVE-2023-33246, CVE-2023-37582, CVE-2024-23321 and what is read live beside them)."""


@pytest.mark.parametrize("key", NEVER_FROM_THE_NETWORK.split())
def test_a_key_that_hurts_is_never_taken_from_the_network(key: str) -> None:
    for node in NODES:
        table = key_table(node)
        assert table.changes_of(key) is NEVER or table.kind_of(key) is None


def test_no_key_whose_name_speaks_of_code_folders_protection_or_pools_may_change() -> None:
    for node in NODES:
        table = key_table(node)
        assert [key for key in table.all_keys() if is_dangerous(key) and table.changes_of(key) is not NEVER] == []
        assert all(table.changes_of(key) is NEVER for key in table.refused)


def test_numbers_that_may_change_have_limits_far_from_those_of_their_type() -> None:
    for node in NODES:
        table = key_table(node)
        for key in table.all_keys():
            kind = table.kind_of(key)
            assert kind is not None
            if table.changes_of(key) is not NEVER:
                assert "2147483647" not in kind.expected or key == "haSlaveFallbehindMax", key
                assert "9223372036854775807" not in kind.expected, key


def documented(node: NodeKind) -> list[str]:
    """The rows that belong into the document, in the order of the fields."""
    table = key_table(node)
    order = [AT_ONCE, AT_RESTART, NEVER]
    rows = [(setting.changes, key, setting.kind.expected.replace("|", "\\|")) for key, setting in table.used.items()]
    return [
        f"| `{key}` | {expected} | {changes} |"
        for changes, key, expected in sorted(rows, key=lambda row: order.index(row[0]))
    ]


@pytest.mark.parametrize("node", NODES)
def test_the_document_says_for_each_key_when_a_change_counts(node: NodeKind) -> None:
    _, _, behind = DOCUMENT.read_text().partition(f"| key of a {node} |")
    rows = behind.partition("\n\n")[0].splitlines()[2:]
    assert rows == documented(node)


def test_the_document_names_the_keys_without_effect_that_are_kept_for_apaches_broker() -> None:
    kept = [key for key, unused in key_table("broker").unused.items() if unused.changes is AT_RESTART]
    text = DOCUMENT.read_text()
    assert [key for key in kept if f"`{key}`" not in text] == []
