"""What the scenarios of the benchmark are built from: a private PostgreSQL, the sink, the peers, figures and their report."""
