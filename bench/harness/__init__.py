"""Parts of the benchmark that its scenarios share: a private PostgreSQL, the sink, the peers,
figures, and their report."""
