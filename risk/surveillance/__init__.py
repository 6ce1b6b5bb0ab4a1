"""Market-abuse surveillance: pure detectors over what happened on the books, and the cases made of their alerts."""
