"""What a run needs, told before anything runs: plain arithmetic on resolved parameters."""
