"""The protocol in plain ints and lists: slow, obvious and independent."""
