"""The gate: decides by signed statements alone, promotes, publishes, and signs what it did."""
