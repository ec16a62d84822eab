"""`headwater bench`: every performance claim, as a ratio of both sides in one run."""
