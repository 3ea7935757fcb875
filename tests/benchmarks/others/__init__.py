"""Other ways to add up vectors, driven beside ours."""
