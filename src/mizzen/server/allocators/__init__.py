"""What the server alone can give: addresses and ports of Services."""
