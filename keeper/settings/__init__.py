"""What an operator may write."""
