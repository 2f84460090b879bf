"""How auditbus runs: on one machine, in containers."""
