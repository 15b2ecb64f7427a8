"""Files for continuous integration, and the report that they show."""
