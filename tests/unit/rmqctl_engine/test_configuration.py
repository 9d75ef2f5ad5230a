"""A version gets the keys that it has, in its own spelling; what it would ignore is refused."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from rmqctl.engine.apache.class_file import configuration_keys, parse_class
from rmqctl.engine.apache.configuration import known_keys
from rmqctl.engine.apache.java import Java
from rmqctl.engine.apache.log_config import log_config
from rmqctl.engine.apache.nodes import ApacheEngine
from rmqctl.engine.files import write_node_files
from rmqctl.errors import RmqctlError, UsageError
from rmqctl.home import ClusterHome
from rmqctl.profile.distribution import Distribution, unpacked_distribution
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import ClusterModel, Node, NodeKind
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqnode.config import parse_properties, read_overlay

JAVA = Java("/usr/bin/java", 17, "17.0.15", "PATH")


def model_of(tmp_path: Path, *set_options: str, version: str = "4.5.0") -> ClusterModel:
    options = UpOptions(
        home=tmp_path,
        profile="single",
        broker_ip="127.0.0.1",
        set_options=list(set_options),
        engine_options=EngineOptions(engine="apache", version=version),
    )
    return plan_cluster(options).model


def conf_of(node: Node, engine: ApacheEngine, home: Path) -> dict[str, str]:
    text = engine.files(node, ClusterHome(home, "rmqctl"))[node.conf_name]
    return parse_properties(text.encode(), node.conf_name).as_mapping()


def test_setters_of_a_class_and_its_parents_are_the_keys(jars: Path) -> None:
    keys = known_keys(Distribution("4.5.0", jars), "broker")
    assert keys["brokerName"] == "text"
    assert keys["brokerId"] == "long"
    assert keys["listenPort"] == "int"
    assert keys["brokerIP1"] == "text"
    assert not {"static", "private", "secret"} & keys.keys()


def test_class_that_no_jar_has_is_skipped(jars: Path) -> None:
    assert configuration_keys(jars.iterdir(), ["org/apache/rocketmq/auth/config/AuthConfig"]) == {}


@pytest.mark.parametrize("content", [b"", b"nonsense" * 8, b"\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x09\x01\xff\xff"])
def test_what_is_no_class_file_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a class file"):
        parse_class(content)


def test_jars_without_configuration_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RmqctlError, match="cannot be used"):
        known_keys(Distribution("4.5.0", tmp_path), "broker")


def test_renamed_keys_are_written_as_the_version_spells_them_and_unknown_defaults_left_out(
    jars: Path, tmp_path: Path
) -> None:
    model = model_of(tmp_path, "brokers:mappedFileSizeCommitLog=1048576")
    broker = model.brokers[0]
    conf = conf_of(broker, ApacheEngine(Distribution("4.5.0", jars), JAVA), tmp_path)
    assert conf["mapedFileSizeCommitLog"] == "1048576"
    assert "mappedFileSizeCommitLog" not in conf
    assert "bindAddress" not in conf
    store = tmp_path / "rmqctl" / "broker-a-0" / "store"
    assert (conf["storePathRootDir"], conf["storePathCommitLog"]) == (str(store), str(store / "commitlog"))
    assert (conf["brokerIP1"], conf["brokerIP2"]) == ("127.0.0.1", "127.0.0.1")


def test_setting_that_the_version_does_not_have_is_refused_with_the_nearest(jars: Path, tmp_path: Path) -> None:
    broker = model_of(tmp_path, "broker-a-0:sendThreadPoolQueueCapacity=9").brokers[0]
    with pytest.raises(UsageError, match=r"--set .*: broker-a-0 runs RocketMQ 4\.5\.0, which has no key") as caught:
        conf_of(broker, ApacheEngine(Distribution("4.5.0", jars), JAVA), tmp_path)
    assert "ignore the setting" in str(caught.value.why)
    near = model_of(tmp_path, "broker-a-0:sendMessageThreadPoolNum=9").brokers[0]
    with pytest.raises(UsageError) as caught:
        conf_of(near, ApacheEngine(Distribution("4.5.0", jars), JAVA), tmp_path)
    assert caught.value.cure == "did you mean 'sendMessageThreadPoolNums'?"


def test_tls_keys_go_to_the_command_line_of_the_jvm(jars: Path, tmp_path: Path) -> None:
    model = model_of(tmp_path, "brokers:tls.server.mode=enforcing")
    engine = ApacheEngine(Distribution("4.5.0", jars), JAVA)
    home = ClusterHome(tmp_path, "rmqctl")
    broker, nameserver = model.brokers[0], model.nameservers[0]
    assert "-Dtls.server.mode=enforcing" in (engine.start_spec(broker, home).argv or ())
    assert "tls.server.mode" not in conf_of(broker, engine, tmp_path)
    assert "-Dtls.server.mode=disabled" in (engine.start_spec(nameserver, home).argv or ())


def test_node_is_executed_in_its_own_folder_with_everything_it_writes_below_it(jars: Path, tmp_path: Path) -> None:
    model = model_of(tmp_path)
    spec = ApacheEngine(Distribution("4.5.0", jars), JAVA).start_spec(model.brokers[0], ClusterHome(tmp_path, "rmqctl"))
    folder = tmp_path / "rmqctl" / "broker-a-0"
    assert spec.argv is not None
    assert spec.argv[:2] == ["/usr/bin/java", "-Drmqctl.node=broker-a-0"]
    assert {f"-Duser.home={folder}", f"-Drocketmq.home.dir={folder}"} <= set(spec.argv)
    assert spec.argv[-5:] == [
        "-classpath",
        f"{jars}/*",
        "org.apache.rocketmq.broker.BrokerStartup",
        "-c",
        str(folder / "broker.conf"),
    ]
    assert (spec.engine, spec.folder) == ("apache", str(folder))


@pytest.mark.parametrize(("version", "nameserver", "broker"), [("4.9.7", "0.0.0.0", "0.0.0.0"), ("5.3.3", *["ip"] * 2)])
def test_address_to_listen_on_is_what_the_version_can_do(
    tmp_path: Path, version: str, nameserver: str, broker: str
) -> None:
    model = model_of(tmp_path, version=version)
    found = (model.nameservers[0].properties["bindAddress"], model.brokers[0].properties["bindAddress"])
    assert found == (nameserver.replace("ip", "127.0.0.1"), broker.replace("ip", "127.0.0.1"))


def test_logging_configuration_is_well_formed_whatever_the_folder_is_called() -> None:
    root = ElementTree.fromstring(log_config("broker-a-0", "broker", Path("/a & b/<$HOME>"), 16, 4))
    assert root.findtext(".//file") == r"/a & b/<\$HOME>/rocketmqlogs/broker_default.log"


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("nameserver", {"namesrv_default.log", "namesrv.log"}),
        (
            "broker",
            {
                *("broker_default.log", "broker.log", "protection.log", "watermark.log", "store.log", "storeerror.log"),
                *("transaction.log", "lock.log", "remoting.log", "stats.log", "commercial.log", "filter.log"),
            },
        ),
    ],
)
def test_logs_have_apache_s_names_and_a_cap(kind: NodeKind, files: set[str]) -> None:
    root = ElementTree.fromstring(log_config("node", kind, Path("/logs"), 16, 4))
    assert {Path(str(each.text)).name for each in root.iter("file")} == files
    assert {each.text for each in root.iter("maxFileSize")} == {"4096KB"}
    assert {each.text for each in root.iter("maxIndex")} == {"4"}
    appenders = {each.get("name") for each in root.iter("appender")}
    assert {each.get("ref") for each in root.iter("appender-ref")} <= appenders


def test_unpacked_distribution_has_the_version_of_its_jar(jars: Path) -> None:
    assert unpacked_distribution(str(jars.parent)) == Distribution("4.5.0", jars)
    with pytest.raises(UsageError, match="not an unpacked distribution"):
        unpacked_distribution(str(jars))


def test_what_was_changed_on_our_engine_counts_on_apaches_as_far_as_it_may_and_the_version_knows_it(
    jars: Path, tmp_path: Path
) -> None:
    model = model_of(tmp_path)
    broker = model.brokers[0]
    folder = ClusterHome(tmp_path, "rmqctl").node_folder(broker.name)
    folder.mkdir(parents=True)
    overlay = folder / "broker.overlay.conf"
    overlay.write_text(
        "fileReservedTime=9\nskipPreOnline=true\nmappedFileSizeCommitLog=2097152\n"
        "filterServerNums=1\nrocketmqHome=-c $@|sh . echo x\naclEnable=false\nnamesrvAddr=10.6.6.6:1\n"
    )
    engine = ApacheEngine(Distribution("4.5.0", jars), JAVA)
    before = conf_of(model_of(tmp_path).brokers[0], engine, tmp_path)
    notices = write_node_files({node.name: engine for node in model.nodes}, model, ClusterHome(tmp_path, "rmqctl"))
    conf = parse_properties((folder / "broker.conf").read_bytes(), "x").as_mapping()
    assert conf == before
    assert conf["fileReservedTime"] == "9"
    assert not {"skipPreOnline", "filterServerNums", "rocketmqHome", "aclEnable"} & conf.keys()
    assert conf["namesrvAddr"] != "10.6.6.6:1"
    assert read_overlay(folder / "broker.conf") == {"fileReservedTime": "9", "skipPreOnline": "true"}
    assert [notice.partition(" cannot be")[0].rpartition(" ")[2] for notice in notices] == [
        *("mappedFileSizeCommitLog", "filterServerNums", "rocketmqHome", "aclEnable", "namesrvAddr")
    ]
    assert "broker-a-0: set aside, without effect: broker.overlay.conf: rocketmqHome" in notices[2]
