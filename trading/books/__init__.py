"""Fees in the books: what follows the journal to keep them, promotions, checks, and the operators' pages."""
