"""Real time: the event log, the hub and the socket protocol. Knows no domain."""
