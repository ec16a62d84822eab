"""What runs beside the server: supervised children, sandboxes, releases and backends."""
