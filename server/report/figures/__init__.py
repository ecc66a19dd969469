"""What the report draws: each function makes one matplotlib figure, to be called in the house style."""
