"""The command line: one file a noun, imported when its command runs. `main` lists them."""
