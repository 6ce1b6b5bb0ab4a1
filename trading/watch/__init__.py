"""Watching the market: the follower's surveillance, its evidence, and what operators do about it."""
