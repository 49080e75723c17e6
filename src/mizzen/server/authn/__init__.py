"""Who asks: one module per kind of credential, tried in order by `chain.Chain`."""
