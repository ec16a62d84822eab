"""The stages of the pipeline, one file each: a `Work` comes in, a further `Work` goes out."""
