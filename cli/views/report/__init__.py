"""The page of `rinrcodec report`: view data in Python, markup in a template, looks in CSS."""
