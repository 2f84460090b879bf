"""Plain consumers: the ClickHouse sink and the SIEM forwarder."""
