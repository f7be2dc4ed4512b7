"""From observed sessions to tables, from tables to findings."""
