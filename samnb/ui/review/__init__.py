"""The widgets that review what a template found, and look-alikes."""
