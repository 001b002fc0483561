"""The page of `rinrcodec view`: its data in Python, markup in a template, looks in CSS, and JS."""
