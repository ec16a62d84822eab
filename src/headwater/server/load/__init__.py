"""A user's files into tables: what is in them (`files`), as SQL trees (`emit`), run (`loader`)."""
