"""Real rsyslog and syslog-ng on loopback, configured as docs/security-teams.md says.

A test starts one with the page's own snippet, in which paths, ports and the module's driver are
replaced; what it parsed comes back from the JSON lines that the snippet makes it write.
"""

import os
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from tests.documents import blocks
from tests.receivers.certificates import Certificates
from tests.receivers.debian import Unavailable, installed

_START_S = 20.0


@dataclass(frozen=True)
class Record:
    """What a daemon made of one message, each field in its own spelling."""

    pri: str
    timestamp: str
    host: str
    app: str
    procid: str
    msgid: str
    sd: str
    msg: str

    @property
    def id(self) -> str:
        """The event's, by the structured data."""
        found = re.search(r' id="([^"]*)"', self.sd)
        assert found is not None, self.sd
        return found[1]


class Daemon:
    """One daemon, listening on TLS, TCP and UDP; it may be killed and started again."""

    name: str

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        try:
            self._root = installed() / self.name
        except Unavailable as missing:
            pytest.skip(str(missing))
        self.tls_port, self.tcp_port, self.lines_port = free_port(), free_port(), free_port()
        self.udp_port = free_port()
        self._directory = directory / self.name
        self._directory.mkdir()
        self._output = self._directory / "audit.ndjson"
        self.log = self._directory / "daemon.log"
        self._config = self._directory / "daemon.conf"
        text = self._snippet()
        for written, real in {
            "/etc/auditbus": str(certificates.ca.parent),
            "/var/log/audit.ndjson": str(self._output),
            "6514": str(self.tls_port),
        }.items():
            assert written in text
            text = text.replace(written, real)
        self._config.write_text(self._before() + text + self._after())
        libraries = [self._root / "usr/lib" / part for part in self._library_paths()]
        libraries += [self._root / f"lib/{os.uname().machine}-linux-gnu"]
        self._child = Child(
            self.name,
            self._command(),
            environment={
                **os.environ,
                "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
                "TZ": "UTC",
            },
            log=self.log,
            directory=self._directory,
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._child.start()
        deadline = time.monotonic() + _START_S
        while not all(map(_listens, (self.tls_port, self.tcp_port, self.lines_port))):
            if not self._child.running or time.monotonic() > deadline:
                pytest.fail(f"{self.name} does not listen:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self._child.stop(10)

    def kill(self) -> None:
        """SIGKILL; a line that it tore is no record."""
        self._child.kill()
        if self._output.exists():
            written = self._output.read_bytes()
            os.truncate(self._output, written.rfind(b"\n") + 1)

    def records(self) -> list[Record]:
        """What it wrote by now, but for a line that is not whole yet."""
        if not self._output.exists():
            return []
        *lines, _ = self._output.read_bytes().split(b"\n")
        return [Record(**orjson.loads(line)) for line in lines if line]

    def ids(self) -> Counter[str]:
        return Counter(record.id for record in self.records())

    def count(self) -> int:
        """How many lines there are: cheaper than `records`."""
        return self._output.read_bytes().count(b"\n") if self._output.exists() else 0

    def _snippet(self) -> str:
        (block,) = [b for b in blocks("text") if b.text.startswith(f"# /etc/{self.name}")]
        return block.text

    def _before(self) -> str:
        raise NotImplementedError

    def _after(self) -> str:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _library_paths(self) -> tuple[str, ...]:
        return (f"{os.uname().machine}-linux-gnu",)


class Rsyslog(Daemon):
    """`driver` is ossl or gtls: OpenSSL or GnuTLS."""

    name = "rsyslog"

    def __init__(self, directory: Path, certificates: Certificates, driver: str) -> None:
        self._driver = driver
        super().__init__(directory, certificates)

    def _snippet(self) -> str:
        return super()._snippet().replace('"gtls"', f'"{self._driver}"')

    def _before(self) -> str:
        return f'global(workDirectory="{self._directory}")\n'

    def _after(self) -> str:
        """Plain inputs beside the page's own; imptcp, as imtcp has one driver for all."""
        where, plain = f'address="{LOOPBACK}" ruleset="audit"', 'supportOctetCountedFraming="off"'
        return "\n".join(
            [
                'module(load="imptcp")',
                'module(load="imudp")',
                f'input(type="imptcp" {where} port="{self.tcp_port}")',
                f'input(type="imptcp" {where} port="{self.lines_port}" {plain})',
                f'input(type="imudp" {where} port="{self.udp_port}")',
                "",
            ]
        )

    def _command(self) -> list[str]:
        modules = self._root / f"usr/lib/{os.uname().machine}-linux-gnu/rsyslog"
        return [
            *(str(self._root / "usr/sbin/rsyslogd"), "-n"),
            *("-f", str(self._config), "-M", str(modules)),
            *("-i", str(self._directory / "pid")),
        ]


class SyslogNg(Daemon):
    name = "syslog-ng"

    def _before(self) -> str:
        return f"@version: {self._modules().name}\n"

    def _modules(self) -> Path:
        """The directory of its modules, named by its version."""
        (found,) = (self._root / "usr/lib/syslog-ng").glob("[0-9]*")
        return found

    def _after(self) -> str:
        def source(driver: str, transport: str, port: int, flags: str = "") -> str:
            where = f"ip({LOOPBACK}) port({port}) transport({transport}) {flags}"
            return f"log {{ source {{ {driver}({where}); }}; destination(d_audit); }};\n"

        return (
            source("syslog", "tcp", self.tcp_port)
            + source("network", "tcp", self.lines_port, "flags(syslog-protocol)")
            + source("network", "udp", self.udp_port, "flags(syslog-protocol)")
        )

    def _command(self) -> list[str]:
        def own(file: str) -> str:
            return str(self._directory / file)

        return [
            *(str(self._root / "usr/sbin/syslog-ng"), "--foreground", "--no-caps", "--stderr"),
            *("--cfgfile", str(self._config), "--persist-file", own("persist")),
            *("--module-path", str(self._modules())),
            *("--pidfile", own("pid"), "--control", own("control")),
        ]

    def _library_paths(self) -> tuple[str, ...]:
        return (*super()._library_paths(), "syslog-ng")


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex((LOOPBACK, port)) == 0
