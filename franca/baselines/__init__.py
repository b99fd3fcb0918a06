"""Models of others behind the contract of `franca.eval.features`, so that tables compare them."""
