"""What Tab offers: the scripts for the shells, and the words that they ask for."""
