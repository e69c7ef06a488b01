"""What the service knows of vehicles without asking anyone: makes, models and VINs.

Owns: the canonical makes and their spellings, the model list, VIN decoding, and the data files that they
read. A leaf: it imports only `matcher.errors`, so that orders, fitment and a shop's desktop without PostGIS
can all use it. Must not: touch a database, the network or a clock.
"""
