"""The smallest order that a venue takes of a symbol at a price."""

from decimal import Decimal

from workflows.domain.instruments import Instrument
from workflows.domain.schedules import minimum_child_lots


def minimum_lots(instrument: Instrument, price: Decimal) -> int:
    """In lots, with the buffer by which the price may move before the order arrives."""
    return minimum_child_lots(
        step=instrument.step,
        min_qty=instrument.min_quantity,
        min_notional=instrument.min_notional,
        price=price,
    )
