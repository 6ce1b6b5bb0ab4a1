"""The pages for people: a view parses, asks one query, and renders a template."""
