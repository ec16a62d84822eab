"""Wire protocols: each turns requests into statements and results back, and knows no engine."""
