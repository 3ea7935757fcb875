"""The subcommands of `secagg`, a module each; they say things, others do them."""
