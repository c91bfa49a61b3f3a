"""Reading of files, tables, data frames and Python values into chunks of texts."""
