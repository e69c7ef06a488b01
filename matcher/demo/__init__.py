"""The demo story: real shops and real places, played through the public endpoints by clients of its own.

Owns: the story's cast, its draws, its view, and the check from outside at its end. Must not reach into the
service: what it knows, it knows over HTTP and WebSocket (the final check reads the database, read-only).
"""
