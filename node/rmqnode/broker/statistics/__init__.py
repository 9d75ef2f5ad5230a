"""What a broker counts: rates, totals of a day, and items over the last minute, hour and day."""
