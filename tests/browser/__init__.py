"""Tests that open real pages in a real Chromium, on a real server in a process of its own."""
