"""Everything on one machine, with no container engine."""
