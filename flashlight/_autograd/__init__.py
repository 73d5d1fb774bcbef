"""How a tensor remembers what made it. Knows nodes, knows no operation."""

from .history import attach

attach()
