"""The bottom of the building: messages, the order book and matching. Standard library and msgspec only, no I/O, no clock."""
