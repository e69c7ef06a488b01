"""What can be wrong with an order or a quote. A docstring is the message that the caller reads."""

from matcher.errors import MatcherError


class _Conflict(MatcherError):
    status = 409


class _Impossible(MatcherError):
    status = 422


class OrderNotEditable(_Conflict):
    """Only drafts can be edited; cancel this order and post a new one."""

    code = "order_not_editable"
    title = "Order not editable"


class OrderNotDraft(_Conflict):
    """This order has been submitted already."""

    code = "order_already_submitted"
    title = "Order already submitted"


class OrderIsDraft(_Conflict):
    """This order is still a draft; submit it first."""

    code = "order_is_draft"
    title = "Order is a draft"


class OrderExpired(_Conflict):
    """The order's time is over; nobody can quote it or accept a quote of it any more."""

    code = "order_expired"
    title = "Order expired"


class OrderCancelled(_Conflict):
    """The order was cancelled."""

    code = "order_cancelled"
    title = "Order cancelled"


class AlreadyAccepted(_Conflict):
    """A quote of this order has been accepted already."""

    code = "already_accepted"
    title = "Already accepted"


class OrderNotOpen(_Conflict):
    """The order's state does not allow this any more; read it again."""

    code = "order_state"
    title = "Order state"


class ExtensionTooLong(_Impossible):
    """An order may stay open for 24 hours in all; ask for fewer minutes."""

    code = "extension_too_long"
    title = "Extension too long"


class TooManyOpenOrders(_Conflict):
    """You have as many open orders as an account may have; cancel one or wait until one is answered."""

    code = "too_many_open_orders"
    title = "Too many open orders"


class PaymentMethodUnavailable(_Impossible):
    """Cards cannot be taken yet; choose cash_on_delivery."""

    code = "payment_method_unavailable"
    title = "Payment method unavailable"


class VinMakeMismatch(_Impossible):
    """The VIN belongs to another make than the one given; correct one of them."""

    code = "vin_make_mismatch"
    title = "VIN and make disagree"


class UnknownUpload(_Impossible):
    """A photo is not among your uploads; upload it first with POST /uploads."""

    code = "unknown_upload"
    title = "Unknown upload"


class QuoteExists(_Conflict):
    """Your shop has a live quote for this order; edit or withdraw it."""

    code = "quote_exists"
    title = "Quote exists"


class QuoteWithdrawn(_Conflict):
    """The shop has withdrawn this quote."""

    code = "quote_withdrawn"
    title = "Quote withdrawn"


class QuoteExpired(_Conflict):
    """This quote's validity is over; ask the shop for a new one."""

    code = "quote_expired"
    title = "Quote expired"


class QuoteRejected(_Conflict):
    """Another quote was accepted, so this one is closed."""

    code = "quote_rejected"
    title = "Quote rejected"


class QuoteChanged(_Conflict):
    """The shop has changed this quote since you saw it; read it again before you accept."""

    code = "quote_changed"
    title = "Quote changed"


class CurrencyMismatch(_Impossible):
    """Quote in the order's currency."""

    code = "currency_mismatch"
    title = "Currency mismatch"


class QuoteLinesMismatch(_Impossible):
    """Answer every line of the order, unavailable ones with `available: false`, and no other lines."""

    code = "quote_lines_mismatch"
    title = "Lines do not match the order"


class NothingOffered(_Impossible):
    """A quote must offer at least one part; decline the order instead."""

    code = "nothing_offered"
    title = "Nothing offered"
