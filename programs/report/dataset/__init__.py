"""A run's data as a data set that others load: rows, pairs and refused rows, each with where it came from."""
