"""How fast it is: measured from outside, on an instance of its own, always beside what the machine itself can do."""
