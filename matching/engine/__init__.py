"""The bottom of the building: messages, the order book and matching. Only the standard library and msgspec, no I/O."""
