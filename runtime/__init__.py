"""What every process needs: settings, errors, Kafka clients, retry, dead letters, logs, metrics."""
