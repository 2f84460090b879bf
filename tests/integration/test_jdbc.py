"""DBeaver's way in: ClickHouse's JDBC driver reads columns, comments and rows of the views.

The driver comes by Maven, into the cache that the broker's jars lie in, once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from auditbus.deploy.local.kafka.fetch import cache_directory
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.backends.selection import absent
from tests.documents import ROOT
from tests.store import encode, enriched_event, migrated_client, refresh_counts

_POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.example</groupId><artifactId>jdbc</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.clickhouse</groupId><artifactId>clickhouse-jdbc</artifactId>
      <version>0.9.8</version><classifier>all</classifier></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId>
      <version>1.7.36</version></dependency>
  </dependencies>
</project>"""
_PROGRAM = """import java.sql.*;
public class Read {
  public static void main(String[] words) throws Exception {
    Class.forName("com.clickhouse.jdbc.ClickHouseDriver");
    try (Connection to = DriverManager.getConnection(words[0], words[1], words[2])) {
      print(to.getMetaData().getColumns(null, "audit", "activity", null),
            "COLUMN_NAME", "REMARKS");
      String wanted = "'" + words[3] + "'";
      print(to.createStatement().executeQuery(
          "SELECT account, action, outcome, toString(ip) AS ip FROM activity WHERE account = "
          + wanted), "account", "action", "outcome", "ip");
      print(to.createStatement().executeQuery(
          "SELECT action, sum(events) AS total FROM daily_counts WHERE account = " + wanted
          + " GROUP BY action"), "action", "total");
    }
  }
  static void print(ResultSet rows, String... names) throws Exception {
    while (rows.next()) {
      for (String name : names) System.out.print(rows.getString(name) + "\\t");
      System.out.println();
    }
  }
}"""


@pytest.fixture(scope="module")
def jars() -> Path:
    """The driver and what it needs."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        absent("java and mvn are needed for ClickHouse's JDBC driver")
    kept = cache_directory() / f"jdbc-{hashlib.sha256(_POM.encode()).hexdigest()[:16]}"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            Path(scratch, "pom.xml").write_text(_POM, encoding="utf-8")
            goal = ("dependency:copy-dependencies", "-DoutputDirectory=made")
            subprocess.run(
                [maven, "--batch-mode", "--quiet", *goal], cwd=scratch, timeout=240, check=True
            )
            if not kept.is_dir():
                Path(scratch, "made").rename(kept)
    return kept


def test_dbeavers_driver_reads_the_views(
    jars: Path, clickhouse: ClickHouse, unique_prefix: str, tmp_path: Path
) -> None:
    account = f"{unique_prefix}acme"
    with migrated_client(clickhouse) as client:
        Writer(client).insert([encode(enriched_event(account))], account)
        refresh_counts(client)
        described = client.query("DESCRIBE audit.activity").result_rows
    (tmp_path / "Read.java").write_text(_PROGRAM, encoding="utf-8")
    (option,) = re.findall(r"`(compress=false)`", (ROOT / "docs/sql-clients.md").read_text())
    url = f"jdbc:clickhouse://{clickhouse.host}:{clickhouse.port}/audit?{option}"
    login = (clickhouse.username, clickhouse.password)
    done = subprocess.run(
        ["java", "-cp", f"{jars}/*", "Read.java", url, *login, account],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.rstrip("\t").split("\t") for line in done.stdout.splitlines()]
    assert lines[:-2] == [[name, comment] for name, _, _, _, comment, *_ in described]
    assert lines[-2:] == [
        [account, "StorageDeleted", "success", "::ffff:81.2.69.142"],
        ["StorageDeleted", "1"],
    ]
