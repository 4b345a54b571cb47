"""Says what is wrong with one installation and what to do about it, also while the product is down."""
