"""Why sockets end, other than for a bad frame: each with the sentence that tells the client what to do."""

from matcher.realtime.close_codes import CloseCode, close

SLOW = close(CloseCode.TOO_SLOW, "You read too slowly: reconnect with your cursor, the rest follows.")
EXPIRED = close(
    CloseCode.TOKEN_EXPIRED, "The token expired: reconnect with a new one, or send refresh in time."
)
BUSY = close(CloseCode.OVERLOADED, "The service is busy: back off, then reconnect.")
SILENT = close(CloseCode.OVERLOADED, "No connect frame came in time: reconnect and send it first.")
FLOOD = close(CloseCode.OVERLOADED, "Far too many requests: back off, then reconnect.")
NO_TOKEN = close(CloseCode.UNAUTHORIZED, "Send a token in connect, or a bearer header in the handshake.")
BAD_TOKEN = close(CloseCode.UNAUTHORIZED, "The token is not valid: sign in again.")
OTHER_ACCOUNT = close(CloseCode.UNAUTHORIZED, "The new token is of another account: open another socket.")
NOT_YOURS = close(CloseCode.FORBIDDEN, "shopId must name a shop that you work for.")
SHOP_CLOSED = close(CloseCode.FORBIDDEN, "The shop is not active any more: ask the operators.")
TOO_MANY = close(CloseCode.TOO_MANY_CONNECTIONS, "Too many sockets of this account: close one first.")

GOING_AWAY = close(CloseCode.GOING_AWAY, "This process stops: reconnect at once, another one serves.")
