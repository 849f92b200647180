"""Word problems with a worked solution: what is read of them, how a response departs from it, and the program that draws them anew."""
