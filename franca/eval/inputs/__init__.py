"""From the declared evaluation sets to what each kind of benchmark sees."""
