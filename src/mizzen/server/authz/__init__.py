"""Who may do what: `chain.Authorizers` asks superusers, the Node authorizer and RBAC in turn."""
