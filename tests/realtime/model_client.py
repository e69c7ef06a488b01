"""A client that knows nothing but the contract: it applies frames by the rule of CONTRACT 7.

Per entity the highest version counts, closed ones are remembered, a snapshot replaces all that was shown.
"""

import json
from typing import Any

SECTIONS = {"orders": "order", "dispatches": "dispatch", "quotes": "quote", "notifications": "notification"}


class ModelClient:
    """`held`: (entity, id) -> data; `cursor`: where to resume."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], dict[str, Any]] = {}
        self.cursor: str | None = None
        self.mode: str | None = None
        self.recipient: str | None = None
        self.complete = False  # whether the last part of a snapshot has come
        self.events: list[dict[str, Any]] = []
        self.replies: dict[str, dict[str, Any]] = {}
        self.heartbeats = 0

    def take(self, text: str | bytes) -> dict[str, Any]:
        """Apply one frame of the server."""
        frame: dict[str, Any] = json.loads(text)
        match frame["type"]:
            case "connected":
                self.mode, self.recipient = frame["mode"], frame["recipient"]
                if frame["mode"] == "snapshot":
                    # What is closed stays remembered; what is open and not listed has gone.
                    self.held = {key: data for key, data in self.held.items() if data.get("closed")}
                    self._hold(frame["snapshot"])
                self.cursor, self.complete = frame["cursor"], frame["last"]
            case "snapshot":
                self._hold(frame["snapshot"])
                self.cursor, self.complete = frame["cursor"], frame["last"]
            case "event":
                self.cursor = frame["cursor"]
                self.events.append(frame)
                self._keep(frame["entity"], frame["data"])
            case "reply":
                self.replies[frame["ref"]] = frame
            case "heartbeat":
                self.heartbeats += 1
            case kind:
                raise AssertionError(f"the contract knows no frame of type {kind}")
        return frame

    def shown(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What a person sees: closed entities are remembered, not shown."""
        return {key: data for key, data in self.held.items() if not data.get("closed")}

    def _hold(self, snapshot: dict[str, list[dict[str, Any]]]) -> None:
        for section, entities in snapshot.items():
            for data in entities:
                self._keep(SECTIONS[section], data)

    def _keep(self, entity: str, data: dict[str, Any]) -> None:
        held = self.held.get((entity, data["id"]))
        if held is None or held["version"] < data["version"]:
            self.held[entity, data["id"]] = data
