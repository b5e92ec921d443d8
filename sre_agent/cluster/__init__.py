"""The cluster port and what stands behind it. `port` says what any cluster can do."""
