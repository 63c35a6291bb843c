"""The example flows do what they say."""
