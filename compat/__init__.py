"""What both halves need to run beside other libraries' builds; it imports neither of them."""
