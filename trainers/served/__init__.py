"""A target that answers behind servers, and what it is asked through. None of these modules loads torch."""
