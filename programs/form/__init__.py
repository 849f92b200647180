"""What the form of answers alone costs a target, told apart from skill."""
