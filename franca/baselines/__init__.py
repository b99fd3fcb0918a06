"""Models of others behind the contract of `franca.eval.models`, so that tables compare them."""
