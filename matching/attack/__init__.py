"""Labelled abuse inside an honest crowd: what surveillance is measured with, and what operators can watch arise."""
