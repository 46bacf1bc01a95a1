"""Read and check a study, and expand it into variants and trials. Pure: nothing is built or run here."""
