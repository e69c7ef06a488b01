"""Watch what one recipient is told, as it happens (the README's tour).

    TOKEN=<accessToken> .venv/bin/python docs/guides/tour-client.py [SHOP_ID]

SERVICE names the service when it is not http://127.0.0.1:8080. With SHOP_ID the shop's orders and quotes are
shown, without it the account's own. A real client also keeps the cursor and reconnects with it.
"""

import asyncio
import json
import os
import sys

from rich import print_json
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

SERVICE = os.environ.get("SERVICE", "http://127.0.0.1:8080")


async def watch(shop_id: str | None) -> None:
    """Print each frame until the service or Ctrl-C ends the socket."""
    url = SERVICE.replace("http", "ws", 1) + "/api/v1/realtime"
    greeting = {"type": "connect", "token": os.environ["TOKEN"], "cursor": None}
    if shop_id is not None:
        greeting["shopId"] = shop_id
    async with connect(url, subprotocols=[Subprotocol("clutch.v1")], proxy=None) as socket:
        await socket.send(json.dumps(greeting))
        async for frame in socket:
            print_json(data=json.loads(frame), default=str)


try:
    asyncio.run(watch(sys.argv[1] if len(sys.argv) > 1 else None))
except KeyboardInterrupt:
    sys.exit(0)
