"""Pages and pictures for people: contact sheets, plots, the report of an evaluation."""
