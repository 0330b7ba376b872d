"""Named environments of one project: grammar, files, validation, synchronisation."""
