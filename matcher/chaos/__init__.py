"""The chaos harness: the service under load while its processes and servers are killed, and the proof afterwards.

Owns: a stack and processes of its own, which it alone starts, kills and removes. Must not touch any other server,
nor reach into the service: it judges by what its clients were told, and by the database, read from outside.
"""
