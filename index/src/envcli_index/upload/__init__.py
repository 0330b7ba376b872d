"""The upload gate: everything that must hold before an uploaded file is stored."""
