"""A Maven repository on loopback, and class files made by hand."""

import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest

GROUP = "org/apache/rocketmq"


class MavenServer:
    """Serves what was published to it, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.authorizations: set[str | None] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/maven"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def publish(self, path: str, content: bytes) -> None:
        """Put a file there, with its checksum."""
        self.files[path] = content
        self.files[f"{path}.sha1"] = hashlib.sha1(content).hexdigest().encode()

    def publish_artifact(self, artifact: str, version: str, dependencies: str = "", group: str = GROUP) -> None:
        """Put a POM and a jar there."""
        pom = (
            "<project><modelVersion>4.0.0</modelVersion>"
            f"<groupId>{group.replace('/', '.')}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version><dependencies>{dependencies}</dependencies></project>"
        )
        stem = f"{group}/{artifact}/{version}/{artifact}-{version}"
        self.publish(f"{stem}.pom", pom.encode())
        self.publish(f"{stem}.jar", f"jar of {artifact} {version}".encode())

    def publish_rocketmq(self, version: str) -> None:
        """Put everything there that a version of RocketMQ needs."""
        library = (
            "<dependency><groupId>example</groupId><artifactId>library</artifactId><version>{}</version></dependency>"
        )
        self.publish_artifact("library", "1.3", group="example")
        self.publish("example/library/maven-metadata.xml", _metadata("1.2", "1.3", "2.0"))
        self.publish_artifact("rocketmq-namesrv", version, library.format("1.3"))
        self.publish_artifact("rocketmq-broker", version, library.format("[1.0,2.0)"))
        self.publish_artifact("rocketmq-tools", version)
        for artifact in ("rocketmq-namesrv", "rocketmq-broker", "rocketmq-tools"):
            self.publish(f"{GROUP}/{artifact}/maven-metadata.xml", _metadata("4.5.1", version, "4.10.0"))

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/maven/")
                server.asked.append(path)
                server.authorizations.add(self.headers.get("Authorization"))
                content = server.files.get(path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                return

        return Handler


def _metadata(*versions: str) -> bytes:
    listed = "".join(f"<version>{version}</version>" for version in versions)
    return f"<metadata><versioning><versions>{listed}</versions></versioning></metadata>".encode()


@pytest.fixture
def maven() -> Iterator[MavenServer]:
    server = MavenServer()
    yield server
    server.close()


def class_file(name: str, parent: str, setters: dict[str, str]) -> bytes:
    """A class with public setters, name → descriptor; and with one of everything that a reader has to skip."""
    constants: list[bytes] = []

    def constant(content: bytes) -> int:
        constants.append(content)
        return len(constants)

    def text(value: str) -> int:
        return constant(b"\x01" + struct.pack(">H", len(value.encode())) + value.encode())

    def of_class(value: str) -> int:
        return constant(b"\x07" + struct.pack(">H", text(value)))

    this, above = of_class(name), of_class(parent)
    constant(b"\x05" + struct.pack(">q", 1))  # a long: takes two places
    constants.append(b"")
    field = struct.pack(">4H", 2, text("secret"), text("I"), 1) + struct.pack(">HI", text("Anything"), 3) + b"abc"
    methods = [struct.pack(">4H", 1, text(method), text(signature), 0) for method, signature in setters.items()]
    methods.append(struct.pack(">4H", 9, text("setStatic"), text("(I)V"), 0))
    methods.append(struct.pack(">4H", 2, text("setPrivate"), text("(I)V"), 0))
    return b"".join(
        [
            struct.pack(">IHHH", 0xCAFEBABE, 0, 52, len(constants) + 1),
            *constants,
            struct.pack(">5H", 0x21, this, above, 0, 1),
            field,
            struct.pack(">H", len(methods)),
            *methods,
            struct.pack(">H", 0),
        ]
    )


BROKER_CLASSES = {
    "common/BrokerIdentity": ("java/lang/Object", {"setBrokerName": "(Ljava/lang/String;)V", "setBrokerId": "(J)V"}),
    "common/BrokerConfig": (
        "org/apache/rocketmq/common/BrokerIdentity",
        {
            "setNamesrvAddr": "(Ljava/lang/String;)V",
            "setBrokerIP1": "(Ljava/lang/String;)V",
            "setBrokerIP2": "(Ljava/lang/String;)V",
            "setBrokerClusterName": "(Ljava/lang/String;)V",
            "setSendMessageThreadPoolNums": "(I)V",
        },
    ),
    "remoting/netty/NettyServerConfig": ("java/lang/Object", {"setListenPort": "(I)V"}),
    "store/config/MessageStoreConfig": (
        "java/lang/Object",
        {
            "setStorePathRootDir": "(Ljava/lang/String;)V",
            "setStorePathCommitLog": "(Ljava/lang/String;)V",
            "setMapedFileSizeCommitLog": "(I)V",
            "setBrokerRole": "(Ljava/lang/String;)V",
            "setFlushDiskType": "(Ljava/lang/String;)V",
            "setFileReservedTime": "(I)V",
            "setDeleteWhen": "(Ljava/lang/String;)V",
        },
    ),
}


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder with a jar that holds a few configuration classes."""
    lib = tmp_path / "distribution" / "lib"
    lib.mkdir(parents=True)
    with ZipFile(lib / "rocketmq-broker-4.5.0.jar", "w") as jar:
        for name, (parent, setters) in BROKER_CLASSES.items():
            full = f"org/apache/rocketmq/{name}"
            jar.writestr(f"{full}.class", class_file(full, parent, setters))
    return lib
