"""Child processes of the server: `supervisor` starts them, watches them and starts them anew."""
