"""The kinds of destination, one module each; `sinks/siem/registry.py` has a line for each."""
