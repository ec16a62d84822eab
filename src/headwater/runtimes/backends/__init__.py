"""Places beyond this machine where Spark runs: clusters to submit to, a remote Spark Connect."""
