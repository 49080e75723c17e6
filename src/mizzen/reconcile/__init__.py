"""The one loop that drives every controller: observe, reconcile, carry out the plan. Start reading at `controller`."""
