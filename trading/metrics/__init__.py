"""What Bourse tells Prometheus (docs/metrics.md): counters of what is done here, figures asked when somebody looks."""
