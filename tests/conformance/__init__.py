"""Cases of the flow language, read from an optional folder and run against this project."""
