"""How many machines a load needs: measured costs, a queueing model, and its check."""
