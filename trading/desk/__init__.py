"""The operator's desk: Django's admin in the clothes of django-unfold, with pages that file control commands."""
