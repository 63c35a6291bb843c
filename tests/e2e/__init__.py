"""Stories of the whole service: real processes, Git, databases and crashes."""
