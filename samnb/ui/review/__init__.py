"""The widgets that review objects of templates, and look-alikes."""
