"""The embedded store: ClickHouse's engine (chDB) in one process behind ClickHouse's HTTP interface.

Any ClickHouse client speaks to it as to a server; clickhouse-connect does so unchanged. The rooms:

    server         the HTTP routes: ties the rooms below together
    access         who may speak at all: password, Host, Origin
    protocol       ClickHouse's HTTP interface: request → Call, error → response, summaries
    body           request bodies: size limits and decompression
    tokens         SQL split as ClickHouse's lexer splits it
    statements     one statement: its verb and format, where an INSERT's data begins
    guard          what no statement may do: files, network, programs; `allowed` says what may
    execution      a Call run on the engine, on a worker thread
    engine         the one process that owns the directory; a fresh handle for each request
    results        results as chunks of bytes, headers of text formats once
    configuration  the engine's own configuration: grants, frozen settings, memory caps
    errors         errors by ClickHouse's own codes
    process        the command that starts it and its announcement, for supervisor and tests

What differs from a server, on purpose:

* There is one user, `default`, and its password. Access control between people is the console's.
* `session_id` is accepted and means nothing: every request has a handle of its own, so SET, USE and
  temporary tables end with their request. Settings travel in the URL, as clickhouse-connect
  sends them.
* `query_id` is given back in the header, but KILL QUERY cannot name it: the engine has its own.
* Unqualified names live in the database `main`; chDB's own `default` cannot hold tables here.
* Responses are never compressed: on loopback that costs both sides CPU and saves nothing. A client
  that offers `Accept-Encoding: lz4` must take an identity response (RFC 9110, 12.5.3).
* ClickHouse's own block compression (`compress=1`, `decompress=1`) and external data are refused.
* One statement a request; files, network, programs and other engines are refused (see `guard`).
"""

from auditbus.deploy.local.store.process import StoreAddress, read_announcement, store_command

__all__ = ["StoreAddress", "read_announcement", "store_command"]
