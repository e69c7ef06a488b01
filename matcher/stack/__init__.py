"""The embedded stack: a private PostgreSQL + PostGIS and Redis that belong to one checkout.

Owns: where the data lies, which account runs the servers, their ports, secrets, start and stop. Must not touch
a server that it did not start, and knows nothing of the service that uses the servers.
"""

from matcher.stack.commands import stack_commands
from matcher.stack.embedded import Stack, StackStatus

__all__ = ["Stack", "StackStatus", "stack_commands"]
