"""No passwords inside URLs."""
