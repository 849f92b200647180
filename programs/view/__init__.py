"""Looking at answers and comparing them: what was answered, from anything a user has (`sources`)."""
