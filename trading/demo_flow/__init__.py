"""The demo's labelled market makers and takers: the same prices and sizes, first as history, then as a client."""
