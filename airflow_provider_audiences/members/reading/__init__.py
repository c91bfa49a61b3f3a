"""From files, tables, frames and values to chunks of texts."""
